#include "hone/tune/pruners/percentile_pruner.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "hone/core/checked.h"
#include "hone/tune/detail/check_intervals.h"

namespace hone::tune {
namespace {

/// NaN for no values. As NumPy interpolates, also where that makes NaN of infinities.
double percentile_of(std::vector<double> values, double percentile) {
  if (values.empty()) return NAN;
  std::sort(values.begin(), values.end());
  const double place = static_cast<double>(values.size() - 1) * (percentile / 100);
  const size_t index = std::min(static_cast<size_t>(place), values.size() - 1);
  const double below = values[index], above = values[std::min(index + 1, values.size() - 1)];
  const double part = place - static_cast<double>(index), step = above - below;
  return part >= 0.5 ? above - step * (1 - part) : below + step * part;
}

}  // namespace

PercentilePruner::PercentilePruner(const PercentileOptions& options)
    : options_(checked(options, "PercentilePruner")) {}

bool PercentilePruner::prune(const StudyView& study, Trial& trial) {
  if (!detail::check_is_due(trial, options_.n_warmup_steps, options_.interval_steps)) return false;
  const int64_t step = trial.intermediate.rbegin()->first;
  int64_t complete = 0, reported = 0;
  std::vector<double> values;
  for (const TrialPtr& other : study.trials) {
    if (other->state != TrialState::kComplete) continue;
    ++complete;
    const auto found = other->intermediate.find(step);
    if (found == other->intermediate.end()) continue;
    ++reported;
    if (!std::isnan(found->second)) values.push_back(found->second);
  }
  if (complete == 0 || complete < options_.n_startup_trials) return false;

  const bool maximize = study.directions.at(0) == Direction::kMaximize;
  double best = NAN;
  for (const auto& [at, value] : trial.intermediate) {
    best = maximize ? std::fmax(best, value) : std::fmin(best, value);
  }
  if (std::isnan(best)) return true;
  if (reported < options_.n_min_trials) return false;
  const double bound =
      percentile_of(std::move(values), maximize ? 100 - options_.percentile : options_.percentile);
  return maximize ? best < bound : best > bound;
}

}  // namespace hone::tune
