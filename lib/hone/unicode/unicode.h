/// Character classes and UTF-8, to the Unicode version (16) of the `tokenizers` package.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hone::unicode {

/// Bits of what a code point is.
enum CharClass : uint8_t {
  kLetter = 1,    ///< \p{L}
  kMark = 2,      ///< \p{M}
  kNumber = 4,    ///< \p{N}
  kPunct = 8,     ///< \p{P}
  kSymbol = 16,   ///< \p{S}
  kSpace = 32,    ///< \s: White_Space
  kWord = 64,     ///< \w: Alphabetic, M, Nd, Pc
  kNewline = 128  ///< CR or LF
};

inline constexpr char32_t kReplacement = 0xFFFD;
inline constexpr size_t kCodePoints = 0x110000;

/// CharClass bits of every code point; [kCodePoints]. Built at the first call.
const uint8_t* char_classes();

/// Whether a code point is of a general category, "L" or "Lu"; for tables, not for speed.
bool in_category(char32_t c, std::string_view category);

/// Code points added after Unicode 14 that are in the category, as {first, last}.
std::vector<std::pair<char32_t, char32_t>> added_ranges(std::string_view category);
/// Whether `category` names a general category or its first letter.
bool is_category(std::string_view category);

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

inline bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

/// Bytes of the valid sequence that starts with `byte`.
inline size_t sequence_length(char byte) {
  const auto b = static_cast<unsigned char>(byte);
  return b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
}

/// Start of the character that ends before `p`.
inline const char* previous_start(const char* p) {
  do --p;
  while (is_continuation(*p));
  return p;
}

/// The lower case of a character by itself; of U+0130, whose lower case is two, the first.
char32_t lower_of(char32_t c);

void append_utf8(std::string& out, char32_t c);
std::string to_utf8(char32_t c);
/// Code points of valid UTF-8.
std::u32string to_utf32(std::string_view text);

bool is_valid_utf8(std::string_view text);
/// Length of the valid sequence at the start of `text`, or of its maximal broken part (negative),
/// the part that one U+FFFD replaces. `text` must not be empty.
int checked_sequence(std::string_view text);
/// `text` with every maximal broken part replaced by U+FFFD.
std::string replace_invalid(std::string_view text);

}  // namespace hone::unicode
