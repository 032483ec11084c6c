#include "hone/text/detail/scripts.h"

#include <algorithm>
#include <iterator>

#include "hone/unicode/unicode.h"

namespace hone::text::detail {
namespace {

struct Block {
  char32_t first, last;
};

/// Blocks of those scripts (Unicode 16), ascending.
constexpr Block kBlocks[] = {
    {0x0E00, 0x0E7F},    // Thai
    {0x0E80, 0x0EFF},    // Lao
    {0x1000, 0x109F},    // Myanmar
    {0x1780, 0x17FF},    // Khmer
    {0x1950, 0x19DF},    // Tai Le, New Tai Lue
    {0x1A20, 0x1AAF},    // Tai Tham
    {0x1B00, 0x1B7F},    // Balinese
    {0x2E80, 0x2FDF},    // radicals
    {0x3005, 0x3007},    // iteration mark, closing mark, zero
    {0x3021, 0x3035},    // Suzhou numerals, tone and repeat marks
    {0x3038, 0x303C},    // more numerals and marks
    {0x3041, 0x30FF},    // Hiragana, Katakana
    {0x3100, 0x312F},    // Bopomofo
    {0x31A0, 0x31BF},    // Bopomofo extended
    {0x31F0, 0x31FF},    // Katakana extended
    {0x3400, 0x4DBF},    // Han extension A
    {0x4E00, 0x9FFF},    // Han
    {0xA980, 0xA9FF},    // Javanese, Myanmar extended B
    {0xAA60, 0xAADF},    // Myanmar extended A, Tai Viet
    {0xF900, 0xFAFF},    // Han, compatibility
    {0xFF66, 0xFF9F},    // Katakana, half width
    {0x116D0, 0x116FF},  // Myanmar extended C
    {0x1AFF0, 0x1B16F},  // Kana extended
    {0x20000, 0x3FFFF},  // Han extensions
};

}  // namespace

bool is_unspaced(char32_t c) {
  if (c < kBlocks[0].first) return false;
  const Block* block = std::lower_bound(std::begin(kBlocks), std::end(kBlocks), c,
                                        [](const Block& b, char32_t x) { return b.last < x; });
  return block != std::end(kBlocks) && block->first <= c &&
         ((unicode::char_classes()[c] & (unicode::kLetter | unicode::kMark)) != 0 || c == 0x3007 ||
          (0x3021 <= c && c <= 0x3029));
}

bool holds_unspaced(std::string_view text) {
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    if (is_unspaced(next_char(p))) return true;
  }
  return false;
}

}  // namespace hone::text::detail
