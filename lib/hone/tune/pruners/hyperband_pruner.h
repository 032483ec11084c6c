/// Hyperband: several successive halvings side by side, from the boldest to the most patient.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "hone/core/field.h"
#include "hone/tune/pruners/pruner.h"
#include "hone/tune/pruners/successive_halving_pruner.h"

namespace hone::tune {

/// Defaults are Optuna's.
struct HyperbandOptions {
  int64_t min_resource = 1;
  std::optional<int64_t> max_resource;
  int64_t reduction_factor = 3;
  int64_t bootstrap_count = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("min_resource", self.min_resource, "Step of the first rung of the boldest bracket.",
      Range{1, 1e12});
    v("max_resource", self.max_resource,
      "Steps of a whole trial; null takes those of the longest complete one.", Range{1, 1e12});
    v("reduction_factor", self.reduction_factor,
      "One in so many trials goes on past a rung; each rung is so many times later.",
      Range{2, 1e6});
    v("bootstrap_count", self.bootstrap_count, "Trials that stop at each rung before any goes on.",
      Range{0, 1e9});
  }
  void validate(Validation& v) const;
};

/// Bracket b is a SuccessiveHalvingPruner with min_early_stopping_rate b; there are
/// floor(log(max / min) / log(reduction_factor)) + 1. A trial's bracket follows from its study's
/// name and its number, in proportion to what the brackets cost, as in Optuna: all workers find the
/// same. Pruner and sampler of a trial see its bracket only. The first call in a study that has a
/// complete trial fixes a max_resource that was left open; until then there is one bracket, which
/// stops nothing.
/// Parity: Optuna's HyperbandPruner (tests/interop/tune_pruners.py).
/// Source: Li et al. 2018, "Hyperband"; Falkner et al. 2018, "BOHB", for the sampler's view.
class HyperbandPruner : public Pruner {
 public:
  /// Throws: ConfigError for options out of range or contradictory.
  explicit HyperbandPruner(const HyperbandOptions& options = {});
  bool prune(const StudyView& study, Trial& trial) override;
  StudyView sampler_view(const StudyView& study, const Trial& trial) override;

 private:
  void make_brackets(const StudyView& study);
  size_t bracket_of(const StudyView& study, int64_t number) const;

  const HyperbandOptions options_;
  bool made_ = false;
  std::vector<SuccessiveHalvingPruner> brackets_;
  std::vector<int64_t> budgets_;
};

}  // namespace hone::tune
