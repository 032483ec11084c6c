#include "hone/core/utf8.h"

#include <algorithm>
#include <cstring>

namespace hone {

Character character_at(std::string_view text, size_t at) {
  const int length = checked_sequence(text.substr(at));
  if (length < 0) return {Character::kInvalid, 1};
  const char* p = text.data() + at;
  return {next_char(p), static_cast<size_t>(length)};
}

int checked_sequence(std::string_view text) {
  const auto byte = [&text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned a = byte(0);
  if (a < 0x80) return 1;
  const int length = a >= 0xC2 && a < 0xE0   ? 2
                     : (a & 0xF0) == 0xE0    ? 3
                     : a >= 0xF0 && a < 0xF5 ? 4
                                             : 0;
  if (length == 0) return -1;
  // The second byte's range depends on the first: no overlong forms, surrogates, or > 10FFFF.
  const unsigned low = a == 0xE0 ? 0xA0 : a == 0xF0 ? 0x90 : 0x80;
  const unsigned high = a == 0xED ? 0x9F : a == 0xF4 ? 0x8F : 0xBF;
  for (int i = 1; i < length; ++i) {
    if (static_cast<size_t>(i) == text.size()) return -i;
    const unsigned b = byte(static_cast<size_t>(i));
    if (b < (i == 1 ? low : 0x80u) || b > (i == 1 ? high : 0xBFu)) return -i;
  }
  return length;
}

size_t find_invalid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    uint64_t eight;
    if (at + sizeof eight <= text.size()) {
      std::memcpy(&eight, text.data() + at, sizeof eight);
      if ((eight & 0x8080808080808080u) == 0) {
        at += sizeof eight;
        continue;
      }
    }
    const int length = checked_sequence(text.substr(at));
    if (length < 0) return at;
    at += static_cast<size_t>(length);
  }
  return std::string_view::npos;
}

std::string replace_invalid(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const int length = checked_sequence(text);
    if (length > 0) {
      out.append(text.substr(0, static_cast<size_t>(length)));
    } else {
      append_utf8(out, kReplacement);
    }
    text.remove_prefix(static_cast<size_t>(length > 0 ? length : -length));
  }
  return out;
}

void append_utf8(std::string& out, char32_t code) {
  const auto put = [&out](char32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

std::string to_utf8(char32_t code) {
  std::string text;
  append_utf8(text, code);
  return text;
}

std::u32string to_utf32(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (const char *p = text.data(), *end = p + text.size(); p < end;) out += next_char(p);
  return out;
}

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char byte) { return !is_continuation(byte); }));
}

std::string printable(std::string_view text) {
  constexpr const char* kDigits = "0123456789ABCDEF";
  std::string shown;
  shown.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    const uint32_t code = character.code;
    const bool control = code < 0x20 ? code != '\n' && code != '\t' : code >= 0x7f && code < 0xa0;
    if (code != Character::kInvalid && !control) {
      shown.append(text, at, character.length);
    } else {
      const uint8_t byte =
          code == Character::kInvalid ? static_cast<uint8_t>(text[at]) : static_cast<uint8_t>(code);
      shown += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
    at += character.length;
  }
  return shown;
}

std::string shortened(std::string_view text, size_t most, std::string_view ellipsis) {
  if (text.size() <= most) return std::string(text);
  while (most > 0 && is_continuation(text[most])) --most;
  return std::string(text.substr(0, most)).append(ellipsis);
}

std::string shortened_to_columns(std::string_view text, size_t columns) {
  if (count_characters(text) <= columns) return std::string(text);
  if (columns == 0) return "";
  size_t end = 0;
  for (size_t seen = 0; end < text.size(); ++end) {
    if (!is_continuation(text[end]) && ++seen == columns) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace hone
