#include "hone/unicode/python_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>

#include "hone/core/utf8.h"
#include "hone/unicode/unicode.h"

namespace hone::unicode::py {
namespace {

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

/// The full case folding of one character.
std::u32string fold(char32_t c) {
  utf8proc_int32_t buffer[8];
  int boundary = 0;
  const auto size = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), buffer, 8,
                                            UTF8PROC_CASEFOLD, &boundary);
  return size < 1 ? std::u32string(1, c) : std::u32string(buffer, buffer + std::min<long>(size, 8));
}

char32_t simple_upper(char32_t c) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}

/// Letters without a single capital (ß, ligatures, Greek with iota) are spelled out by their
/// folding, which has the same letters as the upper case that Unicode's SpecialCasing gives them.
bool spelled_out(char32_t c) {
  return c >= 0x80 && category(c) != UTF8PROC_CATEGORY_LU && fold(c).size() > 1;
}

void append_upper(std::string& out, char32_t c) {
  if (!spelled_out(c)) return append_utf8(out, simple_upper(c));
  for (const char32_t part : fold(c)) append_utf8(out, simple_upper(part));
}

/// The title case that SpecialCasing gives a letter that is spelled out.
void append_spelled_title(std::string& out, char32_t c) {
  std::u32string folded = fold(c);
  // A Greek iota subscript stays one.
  if (c >= 0x1F80 && c <= 0x1FFF && folded.back() == 0x3B9) folded.back() = 0x345;
  for (size_t i = 0; i < folded.size(); ++i) {
    const bool capital = i == 0 || c == 0x149;  // U+0149 starts with an apostrophe
    append_utf8(out, capital ? simple_upper(folded[i]) : folded[i]);
  }
}

void append_title(std::string& out, char32_t c) {
  const auto simple = static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c)));
  const bool has_title = c != 0xDF && (simple != c || category(c) == UTF8PROC_CATEGORY_LT);
  if (has_title || !spelled_out(c)) return append_utf8(out, simple);
  append_spelled_title(out, c);
}

template <size_t N>
bool in_ranges(char32_t c, const char32_t (&ranges)[N][2]) {
  return std::any_of(ranges, ranges + N,
                     [c](const auto& range) { return c >= range[0] && c <= range[1]; });
}

/// Unicode's Uppercase: Lu and Other_Uppercase.
bool is_upper_char(char32_t c) {
  static constexpr char32_t others[][2] = {{0x2160, 0x216F},
                                           {0x24B6, 0x24CF},
                                           {0x1F130, 0x1F149},
                                           {0x1F150, 0x1F169},
                                           {0x1F170, 0x1F189}};
  return category(c) == UTF8PROC_CATEGORY_LU || in_ranges(c, others);
}

/// Unicode's Lowercase: Ll and Other_Lowercase.
bool is_lower_char(char32_t c) {
  static constexpr char32_t others[][2] = {
      {0xAA, 0xAA},       {0xBA, 0xBA},       {0x2B0, 0x2B8},     {0x2C0, 0x2C1},
      {0x2E0, 0x2E4},     {0x345, 0x345},     {0x37A, 0x37A},     {0x1D2C, 0x1D6A},
      {0x1D78, 0x1D78},   {0x1D9B, 0x1DBF},   {0x2071, 0x2071},   {0x207F, 0x207F},
      {0x2090, 0x209C},   {0x2170, 0x217F},   {0x24D0, 0x24E9},   {0x2C7C, 0x2C7D},
      {0xA69C, 0xA69D},   {0xA770, 0xA770},   {0xA7F8, 0xA7F9},   {0xAB5C, 0xAB5F},
      {0x10780, 0x10780}, {0x10783, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA}};
  return category(c) == UTF8PROC_CATEGORY_LL || in_ranges(c, others);
}

bool is_cased(char32_t c) {
  return is_upper_char(c) || is_lower_char(c) || category(c) == UTF8PROC_CATEGORY_LT;
}

bool is_case_ignorable(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return c == '\'' || c == '.' || c == ':' || c == 0xB7 || c == 0x387 || c == 0x55F ||
             c == 0x5F4 || c == 0x2018 || c == 0x2019 || c == 0x2024 || c == 0x2027 ||
             c == 0xFE13 || c == 0xFE52 || c == 0xFE55 || c == 0xFF07 || c == 0xFF0E || c == 0xFF1A;
  }
}

/// Whether the capital sigma at `i` ends a word, and so becomes the final form.
bool is_final_sigma(const std::u32string& text, size_t i) {
  size_t before = i;
  while (before > 0 && is_case_ignorable(text[before - 1])) --before;
  if (before == 0 || !is_cased(text[before - 1])) return false;
  size_t after = i + 1;
  while (after < text.size() && is_case_ignorable(text[after])) ++after;
  return after == text.size() || !is_cased(text[after]);
}

void append_lower(std::string& out, const std::u32string& text, size_t i) {
  const char32_t c = text[i];
  if (c == 0x3A3) return append_utf8(out, is_final_sigma(text, i) ? 0x3C2 : 0x3C3);
  if (c == 0x130) {  // the only capital whose lower case is two characters
    out += "i\xCC\x87";
    return;
  }
  append_utf8(out, lower_of(c));
}

/// Whether there is a character and all are `good`.
template <class Good>
bool all_chars(std::string_view text, Good good) {
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    if (!good(next_char(p))) return false;
  }
  return !text.empty();
}

bool is_letter(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return true;
    default:
      return false;
  }
}

/// Unicode's Numeric_Type digit or decimal.
bool is_digit_char(char32_t c) {
  if (category(c) == UTF8PROC_CATEGORY_ND) return true;
  static constexpr char32_t ranges[][2] = {
      {0xB2, 0xB3},       {0xB9, 0xB9},       {0x1369, 0x1371},   {0x19DA, 0x19DA},
      {0x2070, 0x2070},   {0x2074, 0x2079},   {0x2080, 0x2089},   {0x2460, 0x2468},
      {0x2474, 0x247C},   {0x2488, 0x2490},   {0x24EA, 0x24EA},   {0x24F5, 0x24FD},
      {0x24FF, 0x24FF},   {0x2776, 0x277E},   {0x2780, 0x2788},   {0x278A, 0x2792},
      {0x10A40, 0x10A43}, {0x10E60, 0x10E68}, {0x11052, 0x1105A}, {0x1F100, 0x1F10A}};
  return in_ranges(c, ranges);
}

/// Pieces at runs of white space, at most `limit` cuts.
std::vector<std::string> split_space(std::string_view text, int64_t limit) {
  std::vector<std::string> parts;
  for (text = strip(text, kLeft); !text.empty(); text = strip(text, kLeft)) {
    if (static_cast<int64_t>(parts.size()) == limit) {
      parts.emplace_back(text);
      break;
    }
    const char *p = text.data(), *end = p + text.size();
    const char* stop = p;
    while (p < end && !is_space(next_char(p))) stop = p;
    parts.emplace_back(text.data(), stop);
    text.remove_prefix(static_cast<size_t>(stop - text.data()));
  }
  return parts;
}

std::vector<std::string> split_space_right(std::string_view text, int64_t limit) {
  std::vector<std::string> parts;
  for (text = strip(text, kRight); !text.empty(); text = strip(text, kRight)) {
    if (static_cast<int64_t>(parts.size()) == limit) {
      parts.emplace_back(text);
      break;
    }
    const char *begin = text.data(), *p = begin + text.size();
    while (p > begin) {
      const char* start = previous_start(p);
      const char* probe = start;
      if (is_space(next_char(probe))) break;
      p = start;
    }
    parts.emplace_back(p, begin + text.size());
    text = text.substr(0, static_cast<size_t>(p - begin));
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

}  // namespace

bool is_space(char32_t c) { return unicode::is_space(c) || (c >= 0x1C && c <= 0x1F); }

bool is_line_break(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

size_t byte_of(std::string_view text, int64_t index) {
  size_t byte = 0;
  while (index > 0 && byte < text.size()) {
    byte += sequence_length(text[byte]);
    --index;
  }
  return byte;
}

int64_t count_chars(std::string_view text) { return static_cast<int64_t>(count_characters(text)); }

size_t find(std::string_view text, std::string_view part, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  const char* start = text.data() + from;
  const void* found = memmem(start, text.size() - from, part.data(), part.size());
  return found ? static_cast<size_t>(static_cast<const char*>(found) - text.data())
               : std::string_view::npos;
}

std::string_view strip(std::string_view text, int sides, std::optional<std::string_view> chars) {
  std::u32string set = chars ? to_utf32(*chars) : std::u32string();
  std::sort(set.begin(), set.end());
  const auto stripped = [&](char32_t c) {
    return chars ? std::binary_search(set.begin(), set.end(), c) : is_space(c);
  };
  const char *begin = text.data(), *end = begin + text.size();
  while ((sides & kLeft) && begin < end) {
    const char* p = begin;
    if (!stripped(next_char(p))) break;
    begin = p;
  }
  while ((sides & kRight) && begin < end) {
    const char* start = previous_start(end);
    const char* p = start;
    if (!stripped(next_char(p))) break;
    end = start;
  }
  return {begin, static_cast<size_t>(end - begin)};
}

std::vector<std::string> split(std::string_view text, std::optional<std::string_view> separator,
                               int64_t limit, bool from_right) {
  if (limit < 0) limit = kAll;
  if (!separator) return from_right ? split_space_right(text, limit) : split_space(text, limit);
  std::vector<std::string> parts;
  if (from_right) {
    while (static_cast<int64_t>(parts.size()) < limit) {
      const size_t at = text.rfind(*separator);
      if (at == std::string_view::npos) break;
      parts.emplace_back(text.substr(at + separator->size()));
      text = text.substr(0, at);
    }
    parts.emplace_back(text);
    std::reverse(parts.begin(), parts.end());
    return parts;
  }
  while (static_cast<int64_t>(parts.size()) < limit) {
    const size_t at = find(text, *separator);
    if (at == std::string_view::npos) break;
    parts.emplace_back(text.substr(0, at));
    text.remove_prefix(at + separator->size());
  }
  parts.emplace_back(text);
  return parts;
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> words;
  const char* const end = text.data() + text.size();
  const char* word = text.data();
  for (const char* p = word; p < end;) {
    const char* const at = p;
    if (!is_space(next_char(p))) continue;
    if (at > word) words.emplace_back(word, static_cast<size_t>(at - word));
    word = p;
  }
  if (end > word) words.emplace_back(word, static_cast<size_t>(end - word));
  return words;
}

std::string squeeze_spaces(std::string_view text) {
  std::string out;
  for (const std::string_view word : words(text)) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  return out;
}

std::vector<std::string> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string> lines;
  const char *line = text.data(), *p = line, *end = p + text.size();
  while (p < end) {
    const char* stop = p;
    const char32_t c = next_char(p);
    if (!is_line_break(c)) continue;
    if (c == '\r' && p < end && *p == '\n') ++p;
    lines.emplace_back(line, keep_ends ? p : stop);
    line = p;
  }
  if (line < end) lines.emplace_back(line, end);
  return lines;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to,
                    int64_t limit) {
  if (limit < 0) limit = kAll;
  std::string out;
  if (from.empty()) {
    const char *p = text.data(), *end = p + text.size();
    while (limit > 0) {
      out += to;
      --limit;
      if (p == end) return out;
      const char* start = p;
      next_char(p);
      out.append(start, p);
    }
    return out.append(p, end);
  }
  for (; limit > 0; --limit) {
    const size_t at = find(text, from);
    if (at == std::string_view::npos) break;
    out.append(text.substr(0, at)).append(to);
    text.remove_prefix(at + from.size());
  }
  return out.append(text);
}

int64_t count(std::string_view text, std::string_view part) {
  if (part.empty()) return count_chars(text) + 1;
  int64_t found = 0;
  for (size_t at = find(text, part); at != std::string_view::npos;
       at = find(text, part, at + part.size())) {
    ++found;
  }
  return found;
}

std::string upper(std::string_view text) {
  std::string out;
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    append_upper(out, next_char(p));
  }
  return out;
}

std::string lower(std::string_view text) {
  const std::u32string chars = to_utf32(text);
  std::string out;
  for (size_t i = 0; i < chars.size(); ++i) append_lower(out, chars, i);
  return out;
}

std::string capitalize(std::string_view text) {
  const std::u32string chars = to_utf32(text);
  std::string out;
  for (size_t i = 0; i < chars.size(); ++i) {
    i == 0 ? append_title(out, chars[i]) : append_lower(out, chars, i);
  }
  return out;
}

std::string title(std::string_view text) {
  const std::u32string chars = to_utf32(text);
  std::string out;
  bool inside = false;
  for (size_t i = 0; i < chars.size(); ++i) {
    inside ? append_lower(out, chars, i) : append_title(out, chars[i]);
    inside = is_cased(chars[i]);
  }
  return out;
}

std::string swap_case(std::string_view text) {
  const std::u32string chars = to_utf32(text);
  std::string out;
  for (size_t i = 0; i < chars.size(); ++i) {
    if (is_upper_char(chars[i])) {
      append_lower(out, chars, i);
    } else if (is_lower_char(chars[i])) {
      append_upper(out, chars[i]);
    } else {
      append_utf8(out, chars[i]);
    }
  }
  return out;
}

bool is_upper(std::string_view text) {
  bool cased = false;
  for (const char32_t c : to_utf32(text)) {
    if (is_cased(c) && !is_upper_char(c)) return false;
    cased |= is_upper_char(c);
  }
  return cased;
}

bool is_lower(std::string_view text) {
  bool cased = false;
  for (const char32_t c : to_utf32(text)) {
    if (is_cased(c) && !is_lower_char(c)) return false;
    cased |= is_lower_char(c);
  }
  return cased;
}

bool is_title(std::string_view text) {
  bool cased = false, inside = false;
  for (const char32_t c : to_utf32(text)) {
    const bool capital = is_upper_char(c) || category(c) == UTF8PROC_CATEGORY_LT;
    if (capital ? inside : is_lower_char(c) && !inside) return false;
    inside = capital || is_lower_char(c);
    cased |= inside;
  }
  return cased;
}

bool is_alpha(std::string_view text) { return all_chars(text, is_letter); }
bool is_digit(std::string_view text) { return all_chars(text, is_digit_char); }
bool is_space_only(std::string_view text) { return all_chars(text, is_space); }
bool is_decimal(std::string_view text) {
  return all_chars(text, [](char32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; });
}
bool is_alnum(std::string_view text) {
  return all_chars(text, [](char32_t c) {
    const auto kind = category(c);
    return is_letter(c) || is_digit_char(c) || kind == UTF8PROC_CATEGORY_NL ||
           kind == UTF8PROC_CATEGORY_NO;
  });
}

std::string pad(std::string_view text, int64_t width, Side text_side, std::string_view fill) {
  const int64_t missing = width - count_chars(text);
  if (missing <= 0) return std::string(text);
  // str.center() puts the odd space left where the width is odd.
  const int64_t left = text_side == kLeft    ? 0
                       : text_side == kRight ? missing
                                             : missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += text;
  for (int64_t i = left; i < missing; ++i) out += fill;
  return out;
}

}  // namespace hone::unicode::py
