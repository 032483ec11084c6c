/// How a recipe keeps experts at work.
#pragma once
#include <utility>

#include "hone/core/field.h"
#include "hone/core/names.h"

namespace hone::run {

/// What a balance loss is a mean over.
enum class BalanceOver { kDocument, kBatch };

/// The recipe's `experts`.
struct ExpertOptions {
  double bias_rate = 0;
  double balance_loss = 0;
  BalanceOver balance_over = BalanceOver::kDocument;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("bias_rate", self.bias_rate,
      "After each step, raises the bias of each expert that fewer tokens than the mean took, and "
      "lowers that of each that more did, by so much (DeepSeek-V3: 0.001). Only where the router "
      "has a bias, and in full tuning.",
      Range{0, 1});
    v("balance_loss", self.balance_loss,
      "Factor of a loss that makes the use of experts even (DeepSeek-V2: 0.001). The losses that "
      "are shown do without it.",
      Range{0, 100});
    v("balance_over", self.balance_over,
      "What is to be even: each document's use of experts, or a batch's.");
  }
  void validate(Validation& v) const;
};

}  // namespace hone::run

template <>
struct hone::EnumNames<hone::run::BalanceOver> {
  static constexpr std::pair<run::BalanceOver, const char*> values[] = {
      {run::BalanceOver::kDocument, "document"}, {run::BalanceOver::kBatch, "batch"}};
};
