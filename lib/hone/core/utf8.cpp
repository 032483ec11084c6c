#include "hone/core/utf8.h"

namespace hone {

Character character_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const Character invalid{Character::kInvalid, 1};
  const uint32_t first = byte(at);
  if (first < 0x80) return {first, 1};
  const size_t length = first < 0xc2   ? 0
                        : first < 0xe0 ? 2
                        : first < 0xf0 ? 3
                        : first < 0xf5 ? 4
                                       : 0;
  if (length == 0 || text.size() - at < length) return invalid;
  uint32_t code = first & (0xffU >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0U) != 0x80) return invalid;
    code = code << 6 | (byte(at + i) & 0x3fU);
  }
  const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  if (code < least[length] || code > 0x10ffff || surrogate) return invalid;
  return {code, length};
}

size_t find_invalid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    if (character.code == Character::kInvalid) return at;
    at += character.length;
  }
  return std::string_view::npos;
}

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  const uint32_t mark[] = {0, 0xc0, 0xe0, 0xf0};
  out += static_cast<char>(mark[more] | code >> (6 * more));
  for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80U | (code >> (6 * i) & 0x3fU));
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

std::string shortened(std::string_view text, size_t most) {
  if (text.size() <= most) return std::string(text);
  while (most > 0 && (static_cast<uint8_t>(text[most]) & 0xc0U) == 0x80) --most;
  return std::string(text.substr(0, most)) + "...";
}

}  // namespace hone
