#include "hone/tune/pruners/threshold_pruner.h"

#include <fmt/format.h>

#include <cmath>

#include "hone/core/checked.h"
#include "hone/tune/detail/check_intervals.h"

namespace hone::tune {

void ThresholdOptions::validate(Validation& v) const {
  if (!lower && !upper) v.problem("upper", "a threshold needs lower or upper or both");
  if (lower && upper && !(*lower <= *upper)) {
    v.problem("upper", fmt::format("must be at least lower {}, got {}", *lower, *upper));
  }
}

ThresholdPruner::ThresholdPruner(const ThresholdOptions& options)
    : options_(checked(options, "ThresholdPruner")) {}

bool ThresholdPruner::prune(const StudyView& study, Trial& trial) {
  if (!detail::check_is_due(trial, options_.n_warmup_steps, options_.interval_steps)) return false;
  const double value = trial.intermediate.rbegin()->second;
  return std::isnan(value) || value < options_.lower.value_or(-INFINITY) ||
         value > options_.upper.value_or(INFINITY);
}

}  // namespace hone::tune
