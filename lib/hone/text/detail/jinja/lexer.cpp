#include "hone/text/detail/jinja/lexer.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "hone/text/detail/jinja/ast.h"
#include "hone/unicode/python_text.h"
#include "hone/unicode/unicode.h"

namespace hone::text::jinja {

namespace py = unicode::py;
namespace {

/// Line ends become \n; one at the end of the template is dropped.
std::string normalize_newlines(std::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool is_name_char(char32_t c) {
  return c < 0x80 ? std::isalnum(static_cast<int>(c)) || c == '_'
                  : (unicode::char_classes()[c] & unicode::kWord) != 0;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(const std::string& source) : source_(normalize_newlines(source)) {}

  std::vector<Token> run() {
    while (pos_ < source_.size()) {
      const size_t tag = find_tag();
      if (tag == std::string::npos) {
        add_data(rest().substr(0));
        pos_ = source_.size();
        break;
      }
      read_tag(tag);
    }
    add(Tok::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(pos_); }
  bool at(std::string_view text) const { return rest().starts_with(text); }
  char peek(size_t ahead = 0) const {
    return pos_ + ahead < source_.size() ? source_[pos_ + ahead] : '\0';
  }
  [[noreturn]] void fail(const std::string& reason) const { throw SyntaxFault(line_, reason); }

  void add(Tok type, std::string text, Value value = {}) {
    tokens_.push_back({type, line_, std::move(text), std::move(value)});
  }
  void add_data(std::string_view text) {
    if (!text.empty()) add(Tok::kData, std::string(text));
  }

  /// Moves on by `bytes`, counting lines.
  void advance(size_t bytes) {
    const auto begin = source_.begin() + static_cast<std::ptrdiff_t>(pos_);
    line_ += static_cast<int>(std::count(begin, begin + static_cast<std::ptrdiff_t>(bytes), '\n'));
    pos_ += bytes;
    if (bytes) line_starting_ = source_[pos_ - 1] == '\n';
  }
  void skip_space() { advance(rest().size() - py::strip(rest(), py::kLeft).size()); }

  size_t find_tag() const {
    for (size_t at = source_.find('{', pos_); at != std::string::npos;
         at = source_.find('{', at + 1)) {
      if (at + 1 < source_.size() &&
          std::string_view("%{#").find(source_[at + 1]) != std::string::npos) {
        return at;
      }
    }
    return std::string::npos;
  }

  /// The text before a tag, cut as the tag's sign and lstrip_blocks ask for.
  std::string_view before_tag(std::string_view text, char sign, bool is_variable) const {
    if (sign == '-') return py::strip(text, py::kRight);
    if (sign == '+' || is_variable) return text;
    const size_t line = text.rfind('\n') + 1;  // 0 if there is none
    if (line == 0 && !line_starting_) return text;
    return py::strip(text.substr(line), py::kLeft).empty() ? text.substr(0, line) : text;
  }

  /// The sign that may follow a tag's opening at `at`.
  char sign_at(size_t at) const {
    const char c = at < source_.size() ? source_[at] : '\0';
    return c == '-' || c == '+' ? c : '\0';
  }

  void read_tag(size_t tag) {
    const char type = source_[tag + 1];
    const char sign = sign_at(tag + 2);
    add_data(before_tag(rest().substr(0, tag - pos_), sign, type == '{'));
    advance(tag - pos_);
    const size_t opening = sign ? 3 : 2;
    if (type == '%' && read_raw(opening)) return;
    if (type == '#') return read_comment(opening);
    add(type == '{' ? Tok::kVariableBegin : Tok::kBlockBegin, "");
    advance(opening);
    read_code(type == '{');
  }

  /// Moves past `%}` or `#}` with its sign and what that eats; false if it is not there.
  bool read_end(std::string_view end) {
    const char sign = sign_at(pos_);
    if (!rest().substr(sign ? 1 : 0).starts_with(end)) return false;
    advance(end.size() + (sign ? 1 : 0));
    if (sign == '-') {
      skip_space();
    } else if (sign == '\0' && peek() == '\n') {
      advance(1);
    }
    return true;
  }

  void read_comment(size_t opening) {
    const size_t end = source_.find("#}", pos_ + opening);
    if (end == std::string::npos) fail("missing end of comment tag");
    const bool sign = end > pos_ + opening && (source_[end - 1] == '-' || source_[end - 1] == '+');
    advance(end - pos_ - (sign ? 1 : 0));
    read_end("#}");
  }

  /// `{% raw %}` ... `{% endraw %}`: its text as it stands. False if this is another block.
  bool read_raw(size_t opening) {
    const auto word_after = [this](size_t from, std::string_view word) -> size_t {
      const std::string_view text = std::string_view(source_).substr(from);
      const std::string_view word_on = py::strip(text, py::kLeft);
      if (!word_on.starts_with(word)) return std::string::npos;
      const std::string_view after = py::strip(word_on.substr(word.size()), py::kLeft);
      return source_.size() - after.size();
    };
    const size_t end = word_after(pos_ + opening, "raw");
    if (end == std::string::npos) return false;
    const bool minus = std::string_view(source_).substr(end).starts_with("-%}");
    if (!minus && !std::string_view(source_).substr(end).starts_with("%}")) return false;
    advance(end - pos_ + (minus ? 3 : 2));
    if (minus) skip_space();
    for (size_t tag = source_.find("{%", pos_); tag != std::string::npos;
         tag = source_.find("{%", tag + 1)) {
      const char sign = sign_at(tag + 2);
      const size_t stop = word_after(tag + (sign ? 3 : 2), "endraw");
      if (stop == std::string::npos) continue;
      const std::string_view closing = std::string_view(source_).substr(stop);
      if (!closing.starts_with("%}") && !closing.starts_with("-%}") &&
          !closing.starts_with("+%}")) {
        continue;
      }
      add_data(before_tag(rest().substr(0, tag - pos_), sign, false));
      advance(stop - pos_);
      return read_end("%}");
    }
    fail("missing end of raw directive");
  }

  /// The tokens up to the end of a `{{` or `{%` tag, and the end.
  void read_code(bool is_variable) {
    std::string open;  // brackets that wait for their end
    while (true) {
      skip_space();
      if (pos_ == source_.size()) return;  // the parser reports the missing end
      if (open.empty()) {
        const Tok end = is_variable ? Tok::kVariableEnd : Tok::kBlockEnd;
        const int line = line_;
        if (is_variable ? read_variable_end() : read_end("%}")) {
          tokens_.push_back({end, line, "", {}});
          return;
        }
      }
      read_token(open);
    }
  }

  bool read_variable_end() {
    if (at("}}")) {
      advance(2);
      return true;
    }
    if (!at("-}}")) return false;
    advance(3);
    skip_space();
    return true;
  }

  void read_token(std::string& open) {
    const char c = peek();
    if (is_digit(c)) return read_number();
    const char* p = source_.data() + pos_;
    const char* start = p;
    if (is_name_char(next_char(p))) {
      for (const char *end = source_.data() + source_.size(), *next = p;
           p < end && is_name_char(next_char(next)); p = next) {
      }
      const auto size = static_cast<size_t>(p - start);
      add(Tok::kName, source_.substr(pos_, size));
      return advance(size);
    }
    if (c == '"' || c == '\'') return read_string(c);
    read_operator(open);
  }

  void read_operator(std::string& open) {
    static constexpr std::string_view operators[] = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto found = std::find_if(std::begin(operators), std::end(operators),
                                    [this](std::string_view text) { return at(text); });
    if (found == std::end(operators)) {
      fail("unexpected character '" + source_.substr(pos_, sequence_length(source_[pos_])) + "'");
    }
    const std::string text(*found);
    if (text == "{" || text == "(" || text == "[") {
      open += text == "{" ? '}' : text == "(" ? ')' : ']';
    } else if (text == "}" || text == ")" || text == "]") {
      if (open.empty()) fail("unexpected '" + text + "'");
      if (open.back() != text[0]) {
        fail("unexpected '" + text + "', expected '" + std::string(1, open.back()) + "'");
      }
      open.pop_back();
    }
    add(Tok::kOperator, text);
    advance(text.size());
  }

  /// Digits with single underscores between them, from `at`; their end.
  size_t digits(size_t at) const {
    if (at >= source_.size() || !is_digit(source_[at])) return at;
    while (at < source_.size() &&
           (is_digit(source_[at]) ||
            (source_[at] == '_' && at + 1 < source_.size() && is_digit(source_[at + 1])))) {
      ++at;
    }
    return at;
  }

  void read_number() {
    const char second = static_cast<char>(peek(1) | 0x20);
    if (peek() == '0' && (second == 'x' || second == 'o' || second == 'b')) {
      fail("only decimal numbers are supported");
    }
    const size_t whole = digits(pos_);
    size_t end = whole;
    const bool after_dot = pos_ > 0 && source_[pos_ - 1] == '.';
    if (!after_dot) {
      if (end < source_.size() && source_[end] == '.') {
        const size_t fraction = digits(end + 1);
        if (fraction > end + 1) end = fraction;
      }
      if (end < source_.size() && (source_[end] | 0x20) == 'e') {
        const size_t sign =
            end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-');
        const size_t exponent = digits(end + 1 + sign);
        if (exponent > end + 1 + sign) end = exponent;
      }
    }
    std::string text = source_.substr(pos_, end - pos_);
    text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    if (end > whole) {
      add(Tok::kFloat, text, Value::real(std::strtod(text.c_str(), nullptr)));
    } else {
      if (text.size() > 1 && text[0] == '0' && text.find_first_not_of('0') != std::string::npos) {
        fail("a number cannot start with 0");
      }
      int64_t value = 0;
      const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
      if (result.ec != std::errc()) fail("the integer " + text + " does not fit into 63 bits");
      add(Tok::kInteger, text, Value::integer(value));
    }
    advance(end - pos_);
  }

  void read_string(char quote) {
    size_t end = pos_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail("a string without end");
    add(Tok::kString, "", Value::string(unescape(source_.substr(pos_ + 1, end - pos_ - 1))));
    advance(end + 1 - pos_);
  }

  /// Python's unicode-escape.
  std::string unescape(const std::string& text) const {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\') {
        out += text[i];
        continue;
      }
      const char c = text[++i];  // there is one: the quote is not escaped
      static constexpr std::string_view kNames = "\\'\"abfnrtv", kChars = "\\'\"\a\b\f\n\r\t\v";
      if (const size_t simple = kNames.find(c); simple != std::string_view::npos) {
        out += kChars[simple];
      } else if (c == 'x' || c == 'u' || c == 'U') {
        append_code_point(out, text, i, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16);
      } else if (c >= '0' && c <= '7') {
        size_t size = 1;
        while (size < 3 && i + size < text.size() && text[i + size] >= '0' && text[i + size] <= '7')
          ++size;
        --i;
        append_code_point(out, text, i, size, 8);
      } else if (c == 'N' || static_cast<unsigned char>(c) >= 0x80) {
        fail("the escape \\" + std::string(1, c == 'N' ? c : '?') + " is not supported");
      } else if (c != '\n') {
        out += '\\';
        out += c;
      }
    }
    return out;
  }

  /// The `size` digits after text[i]; leaves i on the last.
  void append_code_point(std::string& out, const std::string& text, size_t& i, size_t size,
                         int base) const {
    uint32_t value = 0;
    const char* begin = text.data() + i + 1;
    const char* end = begin + std::min(size, text.size() - i - 1);
    const auto result = std::from_chars(begin, end, value, base);
    if (result.ec != std::errc() || result.ptr != begin + size || value > 0x10FFFF ||
        (value >= 0xD800 && value < 0xE000)) {
      fail("a string has a broken escape, or one of a lone surrogate");
    }
    append_utf8(out, value);
    i += size;
  }

  const std::string source_;
  size_t pos_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(const std::string& source) {
  if (!is_utf8(source)) throw SyntaxFault(1, "the template is not UTF-8");
  return Lexer(source).run();
}

}  // namespace hone::text::jinja
