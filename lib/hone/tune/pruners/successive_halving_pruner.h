/// Asynchronous successive halving: a trial goes on past each rung only among the best there.
#pragma once
#include <cstdint>
#include <optional>

#include "hone/core/field.h"
#include "hone/tune/pruners/pruner.h"

namespace hone::tune {

/// Defaults are Optuna's.
struct SuccessiveHalvingOptions {
  std::optional<int64_t> min_resource;
  int64_t reduction_factor = 4;
  int64_t min_early_stopping_rate = 0;
  int64_t bootstrap_count = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("min_resource", self.min_resource,
      "Step of the first rung; null takes a hundredth of the longest complete trial.",
      Range{1, 1e12});
    v("reduction_factor", self.reduction_factor,
      "One in so many trials goes on past a rung; each rung is so many times later.",
      Range{2, 1e6});
    v("min_early_stopping_rate", self.min_early_stopping_rate, "Rungs left out at the beginning.",
      Range{0, 60});
    v("bootstrap_count", self.bootstrap_count, "Trials that stop at each rung before any goes on.",
      Range{0, 1e9});
  }
  void validate(Validation& v) const;
};

/// Rung k is at step min_resource * reduction_factor^(min_early_stopping_rate + k). A trial that
/// reaches it writes its value there into its system attribute "completed_rung_<k>", as Optuna's
/// does, and goes on if it is among the best 1/reduction_factor (at least one) of all trials that
/// wrote theirs. NaN at a rung stops. Infinite values are written as the largest finite ones, which
/// JSON has. The first call in a study that has a complete trial fixes a min_resource that was left
/// open.
/// Parity: Optuna's SuccessiveHalvingPruner (tests/interop/tune_pruners.py).
/// Source: Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning".
class SuccessiveHalvingPruner : public Pruner {
 public:
  /// Throws: ConfigError for options out of range or contradictory.
  explicit SuccessiveHalvingPruner(const SuccessiveHalvingOptions& options = {});
  bool prune(const StudyView& study, Trial& trial) override;

 private:
  SuccessiveHalvingOptions options_;
};

}  // namespace hone::tune
