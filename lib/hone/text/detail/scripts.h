/// Scripts that are written without spaces between words.
#pragma once
#include <string_view>

namespace hone::text::detail {

/// Whether a character is a letter or mark of a script that puts no space between words: Han,
/// Hiragana, Katakana, Bopomofo, Thai, Lao, Khmer, Myanmar and their smaller neighbours. Hangul is
/// none of them, nor Tibetan, which marks each syllable's end.
bool is_unspaced(char32_t c);

/// Whether valid UTF-8 holds such a character.
bool holds_unspaced(std::string_view text);

}  // namespace hone::text::detail
