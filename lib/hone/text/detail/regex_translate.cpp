#include <algorithm>
#include <cctype>
#include <cstdio>
#include <map>
#include <mutex>
#include <vector>

#include "hone/core/error.h"
#include "hone/text/detail/regex.h"
#include "hone/unicode/unicode.h"

namespace hone::text::detail {
namespace {

constexpr size_t kMaxPatternBytes = 1 << 16;
constexpr size_t kMaxTranslatedBytes = 4 << 20;

std::string hex(char32_t c) {
  char text[16];
  std::snprintf(text, sizeof text, "\\x{%X}", static_cast<unsigned>(c));
  return text;
}

std::string range(char32_t first, char32_t last) {
  return first == last ? hex(first) : hex(first) + "-" + hex(last);
}

/// Class items for every code point that `contains` accepts.
template <class Contains>
std::string items_of(Contains contains) {
  std::string items;
  for (char32_t c = 0; c < unicode::kCodePoints;) {
    if ((c >= 0xD800 && c < 0xE000) || !contains(c)) {
      ++c;
      continue;
    }
    const char32_t first = c;
    while (c < unicode::kCodePoints && (c < 0xD800 || c >= 0xE000) && contains(c)) ++c;
    items += range(first, c - 1);
  }
  return items;
}

/// A set of characters as the inside of a PCRE2 class, and the inside of its complement.
struct CharSet {
  std::string items;
  std::string complement;
};

CharSet make_set(uint8_t bits) {
  const uint8_t* classes = unicode::char_classes();
  return {items_of([&](char32_t c) { return (classes[c] & bits) != 0; }),
          items_of([&](char32_t c) { return (classes[c] & bits) == 0; })};
}

CharSet make_set(const std::string& name) {
  CharSet set{"\\p{" + name + "}", {}};
  const auto added = unicode::added_ranges(name);
  if (added.empty()) return {set.items, "\\P{" + name + "}"};
  for (const auto& [first, last] : added) set.items += range(first, last);
  set.complement = items_of([&](char32_t c) { return !unicode::in_category(c, name); });
  return set;
}

/// The set of a class's bits or of a category; made once, as that walks all code points.
template <class Key>
CharSet set_of(const Key& key) {
  static std::mutex mutex;
  static std::map<Key, CharSet> known;
  const std::lock_guard lock(mutex);
  const auto found = known.find(key);
  return found != known.end() ? found->second : known.emplace(key, make_set(key)).first->second;
}

class Translator {
 public:
  explicit Translator(const std::string& pattern) : chars_(to_utf32(pattern)) {}

  std::string run() {
    while (more()) {
      step();
      if (out_.size() > kMaxTranslatedBytes) throw Error("holds too many character classes");
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] static void refuse(const std::string& what) {
    throw Error("uses " + what + ", which hone does not know");
  }

  bool more() const { return at_ < chars_.size(); }
  char32_t peek(size_t ahead = 0) const {
    return at_ + ahead < chars_.size() ? chars_[at_ + ahead] : U'\0';
  }
  char32_t take() {
    if (!more()) throw Error("ends too early");
    return chars_[at_++];
  }
  bool take(std::u32string_view text) {
    if (chars_.compare(at_, text.size(), text) != 0) return false;
    at_ += text.size();
    return true;
  }

  void step() {
    const char32_t c = take();
    switch (c) {
      case '\\':
        escape();
        break;
      case '[':
        bracket();
        break;
      case '(':
        group();
        break;
      case ')':
      case '|':
        out_ += static_cast<char>(c);
        break;
      case '*':
      case '+':
      case '?':
        out_ += static_cast<char>(c);
        break;
      case '{':
        interval();
        break;
      case '.':
        out_ += "[^\\x{A}]";
        break;
      // Ruby's anchors are those of lines; no line starts behind a newline that ends the text.
      case '^':
        out_ += "(?:\\A|(?<=\\x{A})(?!\\z))";
        break;
      case '$':
        out_ += "(?:(?=\\x{A})|(?<!\\x{A})\\z)";
        break;
      default:
        out_ += hex(c);
    }
  }

  void group() {
    if (peek() != '?') {
      out_ += "(?:";
      return;
    }
    for (const char* opening : {"?:", "?i:", "?=", "?!", "?<=", "?<!", "?>"}) {
      const std::string text = opening;
      if (take(std::u32string(text.begin(), text.end()))) {
        out_ += "(" + text;
        return;
      }
    }
    refuse("a group (?" + to_utf8(peek(1)));
  }

  /// Behind "{": a repeat count, or a plain brace as Oniguruma reads anything else.
  void interval() {
    size_t end = at_;
    std::string digits[2];
    int part = 0;
    while (end < chars_.size() && part < 2 && chars_[end] != '}') {
      const char32_t c = chars_[end++];
      if (c == ',') {
        ++part;
      } else if (c >= '0' && c <= '9' && part < 2) {
        digits[part] += static_cast<char>(c);
      } else {
        part = 2;
      }
    }
    const bool closed = part < 2 && end < chars_.size() && chars_[end] == '}';
    if (!closed || (digits[0].empty() && digits[1].empty())) {
      out_ += hex('{');
      return;
    }
    at_ = end + 1;
    if (peek() == '+') refuse("\"+\" behind a repeat count");
    out_ += "{" + (digits[0].empty() ? "0" : digits[0]) + (part == 1 ? "," : "") + digits[1] + "}";
  }

  char32_t hex_digits(size_t min, size_t max) {
    char32_t value = 0;
    size_t count = 0;
    for (; count < max; ++count, ++at_) {
      const char32_t c = peek();
      const char32_t digit = c >= '0' && c <= '9'   ? c - '0'
                             : c >= 'a' && c <= 'f' ? c - 'a' + 10
                             : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                    : 16;
      if (digit == 16) break;
      value = value * 16 + digit;
    }
    if (count < min) throw Error("has a bad hexadecimal escape");
    if (value >= unicode::kCodePoints || (value >= 0xD800 && value < 0xE000)) {
      throw Error("names a code point that does not exist");
    }
    return value;
  }

  /// Behind a backslash, an escape that stands for one character; false if it is none.
  bool char_escape(char32_t& c) {
    switch (peek()) {
      case 'n':
        c = '\n';
        break;
      case 'r':
        c = '\r';
        break;
      case 't':
        c = '\t';
        break;
      case 'f':
        c = '\f';
        break;
      case 'v':
        c = '\v';
        break;
      case 'a':
        c = '\a';
        break;
      case 'e':
        c = 0x1B;
        break;
      case 'u':
        ++at_;
        c = hex_digits(4, 4);
        return true;
      case 'x':
        ++at_;
        if (peek() == '{') {
          ++at_;
          c = hex_digits(1, 8);
          if (take() != '}') throw Error("has a bad hexadecimal escape");
        } else {
          c = hex_digits(1, 2);
          if (c >= 0x80) refuse("\\x with a single byte above 7F");
        }
        return true;
      default:
        if (peek() < 0x80 && (std::isalnum(static_cast<int>(peek())) != 0 || peek() == 0))
          return false;
        c = peek();
    }
    ++at_;
    return true;
  }

  /// Behind a backslash, an escape that stands for a set; `inverted` if it is the complement.
  bool set_escape(CharSet& set, bool& inverted) {
    const char32_t c = peek();
    inverted = c == 'S' || c == 'W' || c == 'D' || c == 'H' || c == 'P';
    switch (c) {
      case 's':
      case 'S':
        set = set_of(uint8_t{unicode::kSpace});
        break;
      case 'w':
      case 'W':
        set = set_of(uint8_t{unicode::kWord});
        break;
      case 'd':
      case 'D':
        set = set_of(std::string("Nd"));
        break;
      case 'h':
      case 'H':
        set = {"0-9A-Fa-f", "\\x{0}-/:-@G-`g-\\x{10FFFF}"};
        break;
      case 'p':
      case 'P':
        ++at_;
        return property(set, inverted);
      default:
        return false;
    }
    ++at_;
    return true;
  }

  bool property(CharSet& set, bool& inverted) {
    if (take() != '{') throw Error("has \\p without {");
    if (peek() == '^') {
      ++at_;
      inverted = !inverted;
    }
    std::string name;
    for (char32_t c = take(); c != '}'; c = take()) {
      if (c >= 0x80 || name.size() > 40 || (!std::isalpha(static_cast<int>(c)) && c != '_')) {
        refuse("a property \"" + name + to_utf8(c) + "\"");
      }
      name += static_cast<char>(c);
    }
    set = unicode::is_category(name) ? set_of(name)
                                     : CharSet{"\\p{sc:" + name + "}", "\\P{sc:" + name + "}"};
    return true;
  }

  void escape() {
    char32_t c = 0;
    CharSet set;
    bool inverted = false;
    if (peek() == 'A' || peek() == 'z') {
      out_ += '\\';
      out_ += static_cast<char>(take());
    } else if (peek() == 'N') {
      ++at_;
      out_ += "[^\\x{A}]";
    } else if (set_escape(set, inverted)) {
      out_ += (inverted ? "[^" : "[") + set.items + "]";
    } else if (more() && char_escape(c)) {
      out_ += hex(c);
    } else {
      refuse("\\" + to_utf8(peek()));
    }
  }

  /// One member of a class: a character (true) or a set appended to the output (false).
  bool member(char32_t& c) {
    c = take();
    if (c == '[') refuse("a class within a class");
    if (c == '&' && peek() == '&') refuse("&& in a class");
    if (c != '\\') return true;
    CharSet set;
    bool inverted = false;
    if (set_escape(set, inverted)) {
      out_ += inverted ? set.complement : set.items;
      return false;
    }
    if (!more() || !char_escape(c)) refuse("\\" + to_utf8(peek()) + " in a class");
    return true;
  }

  /// Behind "[".
  void bracket() {
    out_ += '[';
    if (peek() == '^') out_ += static_cast<char>(take());
    if (peek() == ']') refuse("] as the first of a class");
    while (peek() != ']' || !more()) {
      if (out_.size() > kMaxTranslatedBytes) throw Error("holds too many character classes");
      char32_t first = 0;
      if (!member(first)) continue;
      if (peek() == '-' && peek(1) != ']' && at_ + 1 < chars_.size()) {
        ++at_;
        char32_t last = 0;
        if (!member(last)) refuse("a range that ends in a set");
        if (last < first) throw Error("has a range that runs backwards");
        out_ += range(first, last);
      } else {
        out_ += hex(first);
      }
    }
    ++at_;
    out_ += ']';
  }

  std::u32string chars_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string translate_pattern(const std::string& pattern) {
  if (pattern.size() > kMaxPatternBytes) throw Error("is longer than 65536 bytes");
  if (!is_utf8(pattern)) throw Error("is not UTF-8");
  return Translator(pattern).run();
}

}  // namespace hone::text::detail
