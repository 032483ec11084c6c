/// Unicode normal forms and letter case, with alignment to the text they came from.
#pragma once
#include <string_view>
#include <vector>

#include "hone/text/detail/buffer.h"

namespace hone::text::detail {

/// Whether normal forms and StripAccents leave a code point alone because they got to know it, or
/// that it is a mark, after Unicode 9: so it is with the normalizers of `tokenizers` 0.23.
bool is_later(char32_t c);

/// Whether NFC surely leaves the text as it is: each character is its own composed form and none
/// can join the one before it. False may still mean unchanged.
bool is_surely_nfc(std::string_view text);

/// The text decomposed (canonically, or for compatibility too) and, if `compose`, recomposed, as a
/// list of changes to its characters.
std::vector<Change> normal_form(std::string_view text, bool compatibility, bool compose);

/// The text in lower case, character by character, without context rules.
std::vector<Change> lower_case(std::string_view text);

}  // namespace hone::text::detail
