/// Data sets and augmenters that tests of augmentation share.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/support.h"
#include "data/wordnet_fixture.h"
#include "hone/core/log.h"
#include "hone/data/augmentation.h"

namespace hone::data::testing {

inline const std::vector<Synset> kSynonyms = {{'a', {"happy", "glad", "joyful"}},
                                              {'a', {"big", "sizeable"}},
                                              {'n', {"road", "route"}},
                                              {'n', {"aspirin", "headache_pill", "painkiller"}},
                                              {'r', {"quickly", "rapidly"}}};

/// A data set that keeps its text.
inline DatasetPtr load_text(const std::string& rows, const text::TokenizerFolder& folder,
                            const DatasetOptions& options = {}, LoadContext context = {}) {
  context.keep_text = true;
  return std::make_shared<const Dataset>(load(rows, folder, options, context));
}

inline std::string text_row(const std::string& text) { return Json{{"text", text}}.dump() + "\n"; }

/// The document's text as a model reads it; what is masked shows as </s>.
inline std::string read(const Example& example, const text::TokenizerFolder& folder) {
  return folder.tokenizer.decode(example.ids, false);
}

/// Document 0 of set 0 in pass `epoch`, at the full rate; the example itself where it stays.
inline Example variant(const Augmenter& augmenter, const Example& example, int64_t epoch,
                       int64_t longest = 100000) {
  return augmenter.variant(example, {.epoch = epoch}, 1, longest).value_or(example);
}

inline bool same(const Example& a, const Example& b) {
  return a.ids == b.ids && a.targets == b.targets && a.weights == b.weights && a.domain == b.domain;
}

}  // namespace hone::data::testing
