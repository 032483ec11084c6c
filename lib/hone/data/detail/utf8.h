/// UTF-8, a character at a time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hone::data::detail {

/// One character of a text; code is kInvalid for a byte that begins no valid character.
struct Character {
  static constexpr uint32_t kInvalid = 0xffffffff;
  uint32_t code;
  size_t length;  ///< bytes, at least 1
};

/// The character at text[at], at < text.size(). No overlong forms, surrogates or codes over
/// U+10FFFF.
Character character_at(std::string_view text, size_t at);

/// Where the first invalid byte lies, or npos.
size_t find_invalid_utf8(std::string_view text);

void append_utf8(std::string& out, uint32_t code);

}  // namespace hone::data::detail
