/// Words replaced by synonyms.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "hone/core/random.h"
#include "hone/data/detail/document.h"
#include "hone/data/detail/words.h"
#include "hone/data/wordnet.h"

namespace hone::data::detail {

/// What may stand for a word of running text: single lower-case words of its most frequent
/// `senses`. None for words under three letters, function words, possible inflected forms, words
/// of several parts of speech (there is no tagger here) and words not in WordNet. `word` is in
/// lower case.
std::vector<std::string> replacements(const WordNet& wordnet, std::string_view word,
                                      int64_t senses);

/// Replaces each word that has a replacement with probability `rate`, by one of them at random.
/// Lower-case words, and capitalised ones that begin a sentence, which stay so; other capitals may
/// be names. After "a" or "an" only what begins likewise.
std::vector<Edit> choose_synonyms(std::string_view text, const std::vector<Word>& words,
                                  const WordNet& wordnet, int64_t senses, double rate,
                                  Random& random);

}  // namespace hone::data::detail
