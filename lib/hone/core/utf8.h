/// UTF-8, a character at a time, and text that a terminal can be given.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hone {

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

/// The text with invalid bytes and control characters (but line breaks and tabs) written as \xFF:
/// what comes from a file must not steer the terminal that shows it.
std::string printable(std::string_view text);

/// At most the first `most` bytes, whole characters, then "..." if something is left out.
std::string shortened(std::string_view text, size_t most);

}  // namespace hone
