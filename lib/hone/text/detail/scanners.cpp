#include "hone/text/detail/scanners.h"

#include <array>
#include <utility>

#include "hone/unicode/unicode.h"

namespace hone::text::detail {
namespace pattern {

const char* const kDigits3 = R"(\p{N}{1,3})";
const char* const kDeepSeekCjk = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";
// The file holds CR and LF themselves where the others hold escapes.
const char* const kDeepSeekText =
    "[!\"#$%&'()*+,\\-./"
    ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";
const char* const kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char* const kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char* const kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace pattern

namespace {

/// Set before any scanner is handed out; a function-local static would cost a check a character.
const uint8_t* classes = nullptr;

/// The class bits of the character at `p`; advances `next` behind it.
inline uint8_t class_at(const char* p, const char*& next) {
  const auto byte = static_cast<unsigned char>(*p);
  if (byte < 0x80) {
    next = p + 1;
    return classes[byte];
  }
  next = p;
  return classes[next_char(next)];
}

/// End of the run of characters of any of `bits` that starts at `p`.
inline const char* run_of(uint8_t bits, const char* p, const char* end) {
  const char* next;
  while (p < end && (class_at(p, next) & bits)) p = next;
  return p;
}

/// End of the run of characters of none of `bits`.
inline const char* run_without(uint8_t bits, const char* p, const char* end) {
  const char* next;
  while (p < end && !(class_at(p, next) & bits)) p = next;
  return p;
}

/// \s*[\r\n]+|\s+(?!\S)|\s+ with `newlines`, else the last two alternatives; null if no space.
inline const char* whitespace(const char* p, const char* end, bool newlines) {
  const char* stop = p;
  const char* last = p;  // start of the run's last character
  const char* behind_newline = nullptr;
  const char* next;
  while (stop < end) {
    const uint8_t bits = class_at(stop, next);
    if (!(bits & unicode::kSpace)) break;
    last = stop;
    stop = next;
    if (bits & unicode::kNewline) behind_newline = next;
  }
  if (stop == p) return nullptr;
  if (newlines && behind_newline) return behind_newline;
  return stop == end || last == p ? stop : last;
}

inline bool is_ascii_letter(char c) {
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'z';
}

const char* digits3(const char* p, const char*, const char* end) {
  const char* stop = p;
  const char* next;
  for (int i = 0; i < 3 && stop < end && (class_at(stop, next) & unicode::kNumber); ++i)
    stop = next;
  return stop == p ? nullptr : stop;
}

const char* deepseek_cjk(const char* p, const char*, const char* end) {
  const char* stop = p;
  while (stop < end && static_cast<unsigned char>(*stop) >= 0xE3) {
    const char* next = stop;
    const char32_t c = next_char(next);
    const bool in = (c >= 0x4E00 && c <= 0x9FA5) || (c >= 0x3040 && c <= 0x30FF);
    if (!in) break;
    stop = next;
  }
  return stop == p ? nullptr : stop;
}

const char* deepseek_text(const char* p, const char*, const char* end) {
  const char* next;
  const uint8_t bits = class_at(p, next);
  const auto byte = static_cast<unsigned char>(*p);
  if ((bits & (unicode::kPunct | unicode::kSymbol)) && byte < 0x80 && next < end &&
      is_ascii_letter(*next)) {
    while (next < end && is_ascii_letter(*next)) ++next;
    return next;
  }
  if (bits & (unicode::kLetter | unicode::kMark))
    return run_of(unicode::kLetter | unicode::kMark, next, end);
  const char* behind;
  if (!(bits & (unicode::kNewline | unicode::kPunct | unicode::kSymbol)) && next < end &&
      (class_at(next, behind) & (unicode::kLetter | unicode::kMark))) {
    return run_of(unicode::kLetter | unicode::kMark, behind, end);
  }
  const char* marks = byte == ' ' ? next : p;
  const char* stop = run_of(unicode::kPunct | unicode::kSymbol, marks, end);
  if (stop > marks) return run_of(unicode::kNewline, stop, end);
  return whitespace(p, end, true);
}

/// (?i:'s|'t|'re|'ve|'m|'ll|'d) at `p`, or without the (?i:).
inline const char* contraction(const char* p, const char* end, bool any_case) {
  if (*p != '\'' || p + 1 >= end) return nullptr;
  const auto fold = [any_case](char c) {
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  };
  const char a = fold(p[1]);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return p + 2;
  if (p + 2 >= end) return nullptr;
  const char b = fold(p[2]);
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return p + 3;
  // The long s, U+017F, is an s in another case.
  if (any_case && a == '\xC5' && b == '\xBF') return p + 3;
  return nullptr;
}

template <int kMaxDigits>
const char* cl100k(const char* p, const char*, const char* end) {
  if (const char* stop = contraction(p, end, true)) return stop;
  const char* next;
  const uint8_t bits = class_at(p, next);
  if (bits & unicode::kLetter) return run_of(unicode::kLetter, next, end);
  const char* behind;
  if (!(bits & (unicode::kNewline | unicode::kNumber)) && next < end &&
      (class_at(next, behind) & unicode::kLetter)) {
    return run_of(unicode::kLetter, behind, end);
  }
  if (bits & unicode::kNumber) {
    const char* stop = next;
    for (int i = 1; i < kMaxDigits && stop < end && (class_at(stop, next) & unicode::kNumber); ++i)
      stop = next;
    return stop;
  }
  const char* others = *p == ' ' ? next : p;
  const char* stop =
      run_without(unicode::kSpace | unicode::kLetter | unicode::kNumber, others, end);
  if (stop > others) return run_of(unicode::kNewline, stop, end);
  return whitespace(p, end, true);
}

const char* gpt2(const char* p, const char*, const char* end) {
  if (const char* stop = contraction(p, end, false)) return stop;
  const char* start = *p == ' ' ? p + 1 : p;
  if (start < end) {
    const char* next;
    const uint8_t bits = class_at(start, next);
    if (bits & unicode::kLetter) return run_of(unicode::kLetter, next, end);
    if (bits & unicode::kNumber) return run_of(unicode::kNumber, next, end);
    if (!(bits & unicode::kSpace))
      return run_without(unicode::kSpace | unicode::kLetter | unicode::kNumber, next, end);
  }
  return whitespace(p, end, false);
}

const char* newline(const char* p, const char*, const char*) {
  return *p == '\r' || *p == '\n' ? p + 1 : nullptr;
}

template <uint8_t kBits>
const char* optional_space_run(const char* p, const char*, const char* end) {
  const char* next;
  uint8_t bits = class_at(p, next);
  if (bits & kBits) return run_of(kBits, next, end);
  if (!(bits & unicode::kSpace) || next == end) return nullptr;
  const char* behind;
  return class_at(next, behind) & kBits ? run_of(kBits, behind, end) : nullptr;
}

/// \s+$ with Ruby's $: before a newline, or at an end that no newline precedes.
const char* line_end_spaces(const char* p, const char* begin, const char* end) {
  const char* next;
  if (!(class_at(p, next) & unicode::kSpace)) return nullptr;
  // Within a run all matches would end where the run's first one did, or there is none.
  if (p > begin && (class_at(previous_start(p), next) & unicode::kSpace)) return nullptr;
  const char* stop = p;
  const char* best = nullptr;
  while (stop < end && (class_at(stop, next) & unicode::kSpace)) {
    if (*stop == '\n' && stop > p) best = stop;
    stop = next;
  }
  return stop == end && end[-1] != '\n' ? end : best;
}

/// First bytes for which `starts` holds; it is asked about lead bytes only.
template <class Starts>
constexpr std::array<bool, 256> bytes_where(Starts starts) {
  std::array<bool, 256> table{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    table[byte] = (byte < 0x80 || byte >= 0xC0) && starts(byte);
  }
  return table;
}

constexpr auto kAnyByte = bytes_where([](unsigned) { return true; });
constexpr auto kDigitBytes =
    bytes_where([](unsigned byte) { return (byte >= '0' && byte <= '9') || byte >= 0x80; });
constexpr auto kCjkBytes = bytes_where([](unsigned byte) { return byte >= 0xE3; });
constexpr auto kNewlineBytes =
    bytes_where([](unsigned byte) { return byte == '\r' || byte == '\n'; });

const std::vector<std::pair<std::string, KnownScanner>>& table() {
  static const std::vector<std::pair<std::string, KnownScanner>> entries = [] {
    classes = unicode::char_classes();
    const bool* any = kAnyByte.data();
    std::vector<std::pair<std::string, KnownScanner>> list = {
        {pattern::kDigits3, {digits3, kDigitBytes.data()}},
        {pattern::kDeepSeekCjk, {deepseek_cjk, kCjkBytes.data()}},
        {pattern::kDeepSeekText, {deepseek_text, any}},
        {pattern::kQwen2, {cl100k<1>, any}},
        {pattern::kLlama3, {cl100k<3>, any}},
        {pattern::kGpt2, {gpt2, any}},
        {"[\r\n]", {newline, kNewlineBytes.data()}},
        {R"(\s?\p{L}+)", {optional_space_run<unicode::kLetter>, any}},
        {R"(\s?\p{P}+)", {optional_space_run<unicode::kPunct>, any}},
        {R"(\s+$)", {line_end_spaces, any}},
    };
    // The same patterns with CR and LF spelt the other way.
    for (size_t i = 0, count = list.size(); i < count; ++i) {
      std::string other;
      for (const char c : list[i].first) {
        other += c == '\r' ? "\\r" : c == '\n' ? "\\n" : std::string(1, c);
      }
      if (other != list[i].first) list.emplace_back(other, list[i].second);
    }
    return list;
  }();
  return entries;
}

}  // namespace

KnownScanner known_scanner(const std::string& pattern) {
  for (const auto& [known, scanner] : table()) {
    if (known == pattern) return scanner;
  }
  return {};
}

std::vector<std::string> scanned_patterns() {
  std::vector<std::string> patterns;
  for (const auto& [known, scanner] : table()) patterns.push_back(known);
  return patterns;
}

}  // namespace hone::text::detail
