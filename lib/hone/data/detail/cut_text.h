/// The text of held-out documents as it was cut, for scoring under another tokenizer.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "hone/data/batch.h"
#include "hone/data/detail/document.h"
#include "hone/text/tokenizer_folder.h"

namespace hone::data::detail {

/// What of one document a data set kept.
struct CutText {
  Document document;              ///< empty where the row came as tokens
  size_t part = 0;                ///< tokens of each part, where the document was split; else 0
  std::vector<Example> examples;  ///< of a row that came as tokens, which are the same for all
  int32_t domain = 0;
};

/// How many of `count` tokens, cut at `count`, end between characters.
size_t whole_characters(const Tokens& tokens, size_t count);

/// The document cut behind its first `count` tokens.
Document cut_behind(const Document& document, const Tokens& tokens, size_t count);

/// The examples of a text under `other`, see retokenise().
std::vector<Example> retokenise(const CutText& cut, const text::TokenizerFolder& base,
                                const text::TokenizerFolder& other);

}  // namespace hone::data::detail
