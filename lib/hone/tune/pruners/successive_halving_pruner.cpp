#include "hone/tune/pruners/successive_halving_pruner.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "hone/core/checked.h"
#include "hone/tune/pareto.h"

namespace hone::tune {
namespace {

std::string rung_key(int64_t rung) { return "completed_rung_" + std::to_string(rung); }

double within_json(double value) {
  constexpr double kMost = std::numeric_limits<double>::max();
  return std::clamp(value, -kMost, kMost);
}

/// What was written at a rung, also by Optuna: its infinities are read as strings.
std::optional<double> rung_value(const Json& json) {
  if (json.is_number()) return within_json(json.get<double>());
  if (json == "Infinity") return within_json(INFINITY);
  if (json == "-Infinity") return within_json(-INFINITY);
  return std::nullopt;
}

/// A hundredth of the longest complete trial's steps.
std::optional<int64_t> estimated_min_resource(const StudyView& study) {
  std::optional<int64_t> longest;
  for (const TrialPtr& trial : study.trials) {
    if (trial->state != TrialState::kComplete || trial->intermediate.empty()) continue;
    longest = std::max(longest.value_or(0), trial->intermediate.rbegin()->first);
  }
  if (!longest) return std::nullopt;
  return std::max<int64_t>(*longest / 100, 1);
}

/// The losses of the other trials at a rung, and this one's.
std::vector<double> competitors(const StudyView& study, const Trial& trial, const std::string& key,
                                double own) {
  std::vector<double> all{own};
  for (const TrialPtr& other : study.trials) {
    const auto found = other->system_attrs.find(key);
    if (other->number == trial.number || found == other->system_attrs.end()) continue;
    const std::optional<double> value = rung_value(found->second);
    if (value) all.push_back(loss(*value, study.directions[0]));
  }
  return all;
}

}  // namespace

void SuccessiveHalvingOptions::validate(Validation& v) const {
  if (bootstrap_count > 0 && !min_resource) {
    v.problem("bootstrap_count", "needs a min_resource that is given");
  }
}

SuccessiveHalvingPruner::SuccessiveHalvingPruner(const SuccessiveHalvingOptions& options)
    : options_(checked(options, "SuccessiveHalvingPruner")) {}

bool SuccessiveHalvingPruner::prune(const StudyView& study, Trial& trial) {
  if (trial.intermediate.empty()) return false;
  if (!options_.min_resource) options_.min_resource = estimated_min_resource(study);
  if (!options_.min_resource) return false;
  const auto [step, value] = *trial.intermediate.rbegin();
  const auto factor = static_cast<double>(options_.reduction_factor);
  for (int64_t rung = 0;; ++rung) {
    const std::string key = rung_key(rung);
    if (trial.system_attrs.contains(key)) continue;
    const double at = static_cast<double>(*options_.min_resource) *
                      std::pow(factor, options_.min_early_stopping_rate + rung);
    if (static_cast<double>(step) < at) return false;
    if (std::isnan(value)) return true;
    trial.system_attrs[key] = within_json(value);
    const double own = loss(within_json(value), study.directions.at(0));
    std::vector<double> all = competitors(study, trial, key, own);
    const auto n = static_cast<int64_t>(all.size());
    if (n <= options_.bootstrap_count) return true;
    const int64_t last = std::max<int64_t>(n / options_.reduction_factor - 1, 0);
    std::nth_element(all.begin(), all.begin() + last, all.end());
    if (own > all[static_cast<size_t>(last)]) return true;
  }
}

}  // namespace hone::tune
