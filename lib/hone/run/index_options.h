/// How a recipe teaches the indexers of sparse attention.
#pragma once
#include <utility>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/nn/index_learning.h"

namespace hone::run {

/// The recipe's `indexer`.
struct IndexOptions {
  nn::IndexLearning train = nn::IndexLearning::kOff;
  double weight = 1;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("train", self.train,
      "What teaches the indexers of DeepSeek-V3.2: warm_up, what the attention looks at of all "
      "positions, while nothing else trains; sparse, what it looks at of those that the indexer "
      "chooses, while the rest trains by the text; off, nothing. Only in full tuning.");
    v("weight", self.weight,
      "Factor of their loss, the sum over the layers. The loss that is shown does without it.",
      Range{1e-6, 1e6});
  }
  void validate(Validation& v) const;
};

}  // namespace hone::run

template <>
struct hone::EnumNames<hone::nn::IndexLearning> {
  static constexpr std::pair<nn::IndexLearning, const char*> values[] = {
      {nn::IndexLearning::kOff, "off"},
      {nn::IndexLearning::kWarmUp, "warm_up"},
      {nn::IndexLearning::kSparse, "sparse"}};
};
