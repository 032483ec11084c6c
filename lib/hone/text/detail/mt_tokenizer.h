/// The tokenizers of machine translation's metrics, as sacrebleu 2.6.0 has them.
#pragma once
#include <string>
#include <string_view>

#include "hone/text/bleu.h"

namespace hone::text::detail {

/// Why a tokenizer cannot be had, or "".
std::string unavailable_reason(BleuTokenizer tokenizer);

/// Valid UTF-8 with white space between its tokens. Throws: Error if it is not available.
std::string mt_tokenize(std::string_view text, BleuTokenizer tokenizer);

/// Puts spaces around punctuation as mteval-v13a does: periods and commas stay within numbers, and
/// a dash stays unless it follows a digit. `text` is any bytes; only ASCII counts.
std::string separate_western(std::string_view text);

}  // namespace hone::text::detail
