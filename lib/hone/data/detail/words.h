/// What augmentation may change in a text, and what it must keep.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "hone/data/entities.h"

namespace hone::data::detail {

/// A word that may change.
struct Word {
  Span span;
  bool unspaced = false;  ///< a run of a script without spaces: its tokens are its words
};

struct Scan {
  std::vector<Word> words;  ///< in order
  std::vector<Span> kept;   ///< what must stay as it is; in order, without overlap
};

/// Words of the stretches `free` of a text. Kept are entities, code (fenced, indented by four
/// spaces or a tab, or in backquotes), and every chunk between white space that holds a digit, one
/// of _/\@<>{}[]=#$%^*+|~& or a dot, colon or opening parenthesis between letters, or that changes
/// from lower to upper case: numbers, URLs, paths, identifiers, markup.
Scan scan_words(std::string_view text, const std::vector<Span>& free,
                const std::vector<Span>& entities);

}  // namespace hone::data::detail
