/// Inputs hidden behind a mask token, a word or a span of words at a time.
#pragma once
#include <cstdint>
#include <vector>

#include "hone/core/random.h"
#include "hone/data/detail/document.h"
#include "hone/data/detail/words.h"

namespace hone::data::detail {

/// Tokens [begin, end) that are one word's, with the space before it.
struct TokenRange {
  size_t begin, end;
};

/// The words' tokens, in order. A word that shares a token with something else is left out.
std::vector<TokenRange> token_ranges(const std::vector<Word>& words, const Tokens& tokens,
                                     std::string_view text);

/// Which of `count` words are dropped: each by itself with probability `rate`.
std::vector<bool> choose_words(size_t count, double rate, Random& random);

/// Which of `count` words are masked: spans of geometrically distributed lengths (mean `mean`, at
/// most `longest`) at random places until count * rate words are, rounded up or down at random so
/// that the share is right in the mean. Spans do not overlap; one ends early at another, at the
/// last word, or when the share is reached. rate <= 0.5.
/// Source: Joshi et al., "SpanBERT", 2020, section 3.1 (there p = 0.2, at most 10 words).
std::vector<bool> choose_spans(size_t count, double rate, double mean, int64_t longest,
                               Random& random);

}  // namespace hone::data::detail
