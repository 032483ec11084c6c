/// How a recipe trains layers for multi-token prediction.
#pragma once
#include "hone/core/field.h"

namespace hone::run {

/// The recipe's `multi_token`.
struct MultiTokenOptions {
  bool train = false;
  double weight = 0.3;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("train", self.train,
      "Whether the model's layers for multi-token prediction are trained with it; else they stay "
      "as they are. Only in full tuning.");
    v("weight", self.weight,
      "Factor of their loss, the mean over the layers (DeepSeek-V3: 0.3, and 0.1 at the end). The "
      "loss that is shown does without it.",
      Range{1e-6, 100});
  }
  void validate(Validation& v) const;
};

}  // namespace hone::run
