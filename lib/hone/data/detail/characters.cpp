#include "hone/data/detail/characters.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>

namespace hone::data::detail {

bool has_no_boundaries(uint32_t code) {
  struct CodeRange {
    uint32_t first, last;
  };
  constexpr CodeRange kScripts[] = {
      {0x0e00, 0x0eff},    // Thai, Lao
      {0x1000, 0x109f},    // Myanmar
      {0x1100, 0x11ff},    // Hangul
      {0x1780, 0x17ff},    // Khmer
      {0x2e80, 0x2fdf},    // radicals
      {0x3005, 0x3007},    // iteration mark, zero
      {0x3021, 0x3029},    // numerals
      {0x3040, 0x318f},    // kana, Bopomofo, Hangul
      {0x31a0, 0x31ff},    // Bopomofo, strokes, kana
      {0x3400, 0x4dbf},    // Han
      {0x4e00, 0xa4cf},    // Han, Yi
      {0xa960, 0xa97f},    // Hangul
      {0xac00, 0xd7ff},    // Hangul
      {0xf900, 0xfaff},    // Han
      {0xff10, 0xff19},    // full-width digits
      {0xff21, 0xff3a},    // full-width letters
      {0xff41, 0xff5a},    // full-width letters
      {0xff66, 0xffdc},    // half-width kana, Hangul
      {0x20000, 0x3ffff},  // Han
  };
  return std::any_of(std::begin(kScripts), std::end(kScripts), [&](const CodeRange& range) {
    return code >= range.first && code <= range.last;
  });
}

bool is_word(uint32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_PC &&
         !has_no_boundaries(code);
}

bool is_letter(uint32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_ME;
}

}  // namespace hone::data::detail
