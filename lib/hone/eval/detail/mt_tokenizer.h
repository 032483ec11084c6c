/// The tokenizers of machine translation's metrics, as sacrebleu 2.6.0 has them.
#pragma once
#include <string>
#include <string_view>

#include "hone/eval/metrics/bleu.h"
#include "hone/eval/metrics/ter.h"

namespace hone::eval::detail {

/// Why a tokenizer cannot be had, or "".
std::string unavailable_reason(BleuTokenizer tokenizer);

/// Valid UTF-8 with white space between its tokens. Throws: Error if it is not available.
std::string mt_tokenize(std::string_view text, BleuTokenizer tokenizer);

/// The text as TER's tokenizer leaves it, case aside: white space between words.
std::string ter_tokenize(std::string text, const TerOptions& options);

}  // namespace hone::eval::detail
