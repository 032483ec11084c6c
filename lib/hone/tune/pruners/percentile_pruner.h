/// Stops trials that are worse than most were at the same step.
#pragma once
#include <cstdint>

#include "hone/core/field.h"
#include "hone/tune/pruners/pruner.h"

namespace hone::tune {

/// Defaults are Optuna's.
struct MedianOptions {
  int64_t n_startup_trials = 5;
  int64_t n_warmup_steps = 0;
  int64_t interval_steps = 1;
  int64_t n_min_trials = 1;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("n_startup_trials", self.n_startup_trials, "Trials that must be complete before any stops.",
      Range{0, 1e9});
    v("n_warmup_steps", self.n_warmup_steps, "Step before which no trial stops.", Range{0, 1e12});
    v("interval_steps", self.interval_steps, "Steps between two looks at a trial.", Range{1, 1e12});
    v("n_min_trials", self.n_min_trials, "Complete trials that must have reported the step.",
      Range{1, 1e9});
  }
};

struct PercentileOptions : MedianOptions {
  double percentile = 25;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("percentile", self.percentile, "Share of the trials, in percent, that goes on.",
      Range{0, 100});
    MedianOptions::visit(self, v);
  }
};

/// Stops a trial whose best value so far is worse than the percentile (linear between neighbours)
/// of the complete trials' values at its last step. NaN counts as not reported; a trial that
/// reported nothing else stops. Parity: Optuna's PercentilePruner (tests/interop/tune_pruners.py).
/// Source: Golovin et al. 2017, "Google Vizier", median stopping rule.
class PercentilePruner : public Pruner {
 public:
  /// Throws: ConfigError for options out of range.
  explicit PercentilePruner(const PercentileOptions& options = {});
  bool prune(const StudyView& study, Trial& trial) override;

 private:
  const PercentileOptions options_;
};

/// The same with the better half going on.
class MedianPruner : public PercentilePruner {
 public:
  explicit MedianPruner(const MedianOptions& options = {})
      : PercentilePruner(PercentileOptions{options, 50}) {}
};

}  // namespace hone::tune
