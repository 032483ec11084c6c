/// A document before tokenisation: its text, and what of it is trained, weighted or free to change.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hone/data/batch.h"
#include "hone/data/entities.h"
#include "hone/text/tokenizer_folder.h"

namespace hone::data::detail {

/// A stretch of a document's text that is trained, with the weight of its tokens.
struct Trained {
  int64_t begin, end;
  float weight;
};

/// Stretches ascend and do not overlap. A token is trained if it lies inside one trained stretch.
struct Document {
  std::string text;
  std::vector<Trained> trained;
  bool special = false;        ///< bos as the tokenizer adds it
  bool end = false;            ///< eos at the end, trained
  size_t prompt = 0;           ///< bytes that must tokenise by themselves as they do here
  std::vector<Span> entities;  ///< key entities, whose trained tokens weigh `entity_multiplier`
  float entity_multiplier = 1;
  std::vector<Span> free;  ///< what augmentation may change, see docs/augmentation.md

  /// Whether all of the text is trained: there is no prompt whose answer could become wrong.
  bool trained_whole() const;
};

/// What augmentation makes variants of an example from.
struct Source {
  Document document;   ///< tokenises to the example, exactly
  size_t longest = 0;  ///< most tokens of a variant; 0 = no bound
};

/// Ids, the weight of each as a target (0 = not trained) and where it lies in the text ([0, 0) for
/// bos and eos).
struct Tokens {
  std::vector<int64_t> ids;
  std::vector<float> weights;
  std::vector<bool> in_entity;  ///< empty where no entity lies in the text
  std::vector<text::Offset> offsets;
};

/// A document with `end` needs a tokenizer with an eos token.
Tokens tokenise(const Document& document, const text::TokenizerFolder& text);

/// Tokens [begin, end) as an example; its first token is no target.
Example make_example(const Tokens& tokens, size_t begin, size_t end, int32_t domain);

/// The part of `document` that tokens [begin, end) cover; null if that part does not tokenise to
/// the same example by itself.
std::shared_ptr<const Source> make_source(const Document& document, const Tokens& tokens,
                                          size_t begin, size_t end, size_t longest,
                                          const text::TokenizerFolder& text);

/// A stretch of a text and what stands there instead.
struct Edit {
  Span span;
  std::string text;
};

/// The document with its text edited and all stretches moved along. Edits ascend, do not overlap,
/// and none contains a border of a stretch but for entities, which are dropped where they overlap.
Document edited(const Document& document, const std::vector<Edit>& edits);

}  // namespace hone::data::detail
