/// Character classes, to the Unicode version (16) of the `tokenizers` package.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hone/core/utf8.h"

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

inline constexpr size_t kCodePoints = 0x110000;

/// CharClass bits of every code point; [kCodePoints]. Built at the first call.
const uint8_t* char_classes();

/// White_Space, the class kSpace.
inline bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/// Whether a code point is of a general category, "L" or "Lu"; for tables, not for speed.
bool in_category(char32_t c, std::string_view category);

/// Code points added after Unicode 14 that are in the category, as {first, last}.
std::vector<std::pair<char32_t, char32_t>> added_ranges(std::string_view category);
/// Whether `category` names a general category or its first letter.
bool is_category(std::string_view category);

/// The lower case of a character by itself; of U+0130, whose lower case is two, the first.
char32_t lower_of(char32_t c);

}  // namespace hone::unicode
