/// Stops trials that leave given bounds.
#pragma once
#include <cstdint>
#include <optional>

#include "hone/core/field.h"
#include "hone/tune/pruners/pruner.h"

namespace hone::tune {

struct ThresholdOptions {
  std::optional<double> lower, upper;
  int64_t n_warmup_steps = 0;
  int64_t interval_steps = 1;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("lower", self.lower, "A trial that reports less stops.");
    v("upper", self.upper, "A trial that reports more stops.");
    v("n_warmup_steps", self.n_warmup_steps, "Step before which no trial stops.", Range{0, 1e12});
    v("interval_steps", self.interval_steps, "Steps between two looks at a trial.", Range{1, 1e12});
  }
  void validate(Validation& v) const;
};

/// Stops a trial whose last value is outside the bounds or NaN.
/// Parity: Optuna's ThresholdPruner (tests/interop/tune_pruners.py).
class ThresholdPruner : public Pruner {
 public:
  /// Throws: ConfigError for options out of range, no bound, or lower > upper.
  explicit ThresholdPruner(const ThresholdOptions& options);
  bool prune(const StudyView& study, Trial& trial) override;

 private:
  const ThresholdOptions options_;
};

}  // namespace hone::tune
