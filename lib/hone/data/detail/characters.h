/// Which characters make up words.
#pragma once
#include <cstdint>

namespace hone::data::detail {

/// Scripts written without spaces between words, or (Korean) with particles joined to them.
bool has_no_boundaries(uint32_t code);

/// Letters, marks, numbers and connectors of scripts that have words.
bool is_word(uint32_t code);

/// Letters and marks of any script.
bool is_letter(uint32_t code);

}  // namespace hone::data::detail
