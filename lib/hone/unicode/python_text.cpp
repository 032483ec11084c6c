#include "hone/unicode/python_text.h"

#include <algorithm>
#include <initializer_list>

#include "hone/unicode/unicode.h"

namespace hone::unicode {
namespace {

bool in_one_of(char32_t c, std::initializer_list<const char*> categories) {
  return std::any_of(categories.begin(), categories.end(),
                     [c](const char* category) { return in_category(c, category); });
}

/// Case_Ignorable: passed over when a sigma looks for letters around it.
bool is_case_ignorable(char32_t c) {
  static constexpr std::u32string_view kOthers =
      U"'.:\u00B7\u0387\u055F\u05F4\u2018\u2019\u2024\u2027\uFE13\uFE52\uFE55\uFF07\uFF0E\uFF1A";
  return kOthers.find(c) != kOthers.npos || in_one_of(c, {"Mn", "Me", "Cf", "Lm", "Sk"});
}

bool is_cased(char32_t c) {
  return in_one_of(c, {"Lu", "Ll", "Lt"}) || c == 0xAA || c == 0xBA ||
         (c >= 0x2160 && c <= 0x217F) || (c >= 0x24B6 && c <= 0x24E9) ||
         (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
         (c >= 0x1F170 && c <= 0x1F189);
}

/// Whether the capital sigma that lies in [at, after) ends a word: letters before it, none behind.
bool is_final_sigma(std::string_view text, size_t at, size_t after) {
  const char* p = text.data() + at;
  bool letter_before = false;
  while (p > text.data()) {
    p = previous_start(p);
    const char* q = p;
    const char32_t c = next_char(q);
    if (is_case_ignorable(c)) continue;
    letter_before = is_cased(c);
    break;
  }
  if (!letter_before) return false;
  for (const char *q = text.data() + after, *end = text.data() + text.size(); q < end;) {
    const char32_t c = next_char(q);
    if (!is_case_ignorable(c)) return !is_cased(c);
  }
  return true;
}

}  // namespace

bool is_python_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return (char_classes()[c] & kSpace) != 0;
}

std::string python_lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    const size_t at = static_cast<size_t>(p - text.data());
    const char32_t c = next_char(p);
    if (c < 0x80) {
      out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    } else if (c == 0x3A3) {
      const bool final = is_final_sigma(text, at, static_cast<size_t>(p - text.data()));
      append_utf8(out, final ? 0x3C2 : 0x3C3);
    } else {
      append_utf8(out, lower_of(c));
      if (c == 0x130) append_utf8(out, 0x307);
    }
  }
  return out;
}

std::string_view python_rstrip(std::string_view text) {
  while (!text.empty()) {
    const char* last = previous_start(text.data() + text.size());
    const char* p = last;
    if (!is_python_space(next_char(p))) break;
    text = text.substr(0, static_cast<size_t>(last - text.data()));
  }
  return text;
}

std::string_view python_strip(std::string_view text) {
  const char* p = text.data();
  const char* const end = p + text.size();
  const char* begin = p;
  while (p < end && is_python_space(next_char(p))) begin = p;
  return python_rstrip(text.substr(static_cast<size_t>(begin - text.data())));
}

std::vector<std::string_view> python_split(std::string_view text) {
  std::vector<std::string_view> words;
  const char* const end = text.data() + text.size();
  const char* word = text.data();
  for (const char* p = word; p < end;) {
    const char* const at = p;
    if (!is_python_space(next_char(p))) continue;
    if (at > word) words.emplace_back(word, static_cast<size_t>(at - word));
    word = p;
  }
  if (end > word) words.emplace_back(word, static_cast<size_t>(end - word));
  return words;
}

std::string squeeze_spaces(std::string_view text) {
  std::string out;
  for (const std::string_view word : python_split(text)) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  return out;
}

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  size_t at = text.find(from);
  if (at == std::string::npos) return text;
  std::string out;
  out.reserve(text.size());
  size_t begin = 0;
  for (; at != std::string::npos; at = text.find(from, begin)) {
    out.append(text, begin, at - begin).append(to);
    begin = at + from.size();
  }
  return out.append(text, begin);
}

}  // namespace hone::unicode
