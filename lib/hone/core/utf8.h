/// UTF-8: characters one by one, what is no UTF-8, and text that a terminal can be given.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hone {

/// What stands for a broken part of a text.
inline constexpr char32_t kReplacement = 0xFFFD;

inline bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

/// Bytes of the valid sequence that starts with `byte`.
inline size_t sequence_length(char byte) {
  const auto b = static_cast<unsigned char>(byte);
  return b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
}

/// The code point at `p`, which must start a valid sequence; advances `p`.
inline char32_t next_char(const char*& p) {
  const auto a = static_cast<unsigned char>(*p++);
  if (a < 0x80) return a;
  const auto low = [&p] { return static_cast<char32_t>(static_cast<unsigned char>(*p++) & 0x3F); };
  if (a < 0xE0) {
    const char32_t b = low();
    return (a & 0x1Fu) << 6 | b;
  }
  if (a < 0xF0) {
    const char32_t b = low(), c = low();
    return (a & 0x0Fu) << 12 | b << 6 | c;
  }
  const char32_t b = low(), c = low(), d = low();
  return (a & 0x07u) << 18 | b << 12 | c << 6 | d;
}

/// Start of the character that ends before `p`.
inline const char* previous_start(const char* p) {
  do --p;
  while (is_continuation(*p));
  return p;
}

/// One character of a text; code is kInvalid for a byte that begins no valid character.
struct Character {
  static constexpr uint32_t kInvalid = 0xffffffff;
  uint32_t code;
  size_t length;  ///< bytes, at least 1
};

/// The character at text[at], at < text.size(). No overlong forms, surrogates or codes over
/// U+10FFFF.
Character character_at(std::string_view text, size_t at);

/// Length of the valid sequence at the start of `text`, or of its maximal broken part (negative),
/// the part that one U+FFFD replaces. `text` must not be empty.
int checked_sequence(std::string_view text);

/// Where the first invalid byte lies, or npos.
size_t find_invalid_utf8(std::string_view text);
inline bool is_utf8(std::string_view text) {
  return find_invalid_utf8(text) == std::string_view::npos;
}

/// `text` with every maximal broken part replaced by U+FFFD.
std::string replace_invalid(std::string_view text);

void append_utf8(std::string& out, char32_t code);
std::string to_utf8(char32_t code);
/// Code points of valid UTF-8.
std::u32string to_utf32(std::string_view text);
/// Their number.
size_t count_characters(std::string_view text);

/// The text with invalid bytes and control characters (but line breaks and tabs) written as \xFF:
/// what comes from a file must not steer the terminal that shows it.
std::string printable(std::string_view text);

/// At most the first `most` bytes, whole characters, then `ellipsis` if something is left out.
std::string shortened(std::string_view text, size_t most, std::string_view ellipsis = "...");
/// At most `columns` characters, the last of them an ellipsis if something is left out.
std::string shortened_to_columns(std::string_view text, size_t columns);

}  // namespace hone
