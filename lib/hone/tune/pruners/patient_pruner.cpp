#include "hone/tune/pruners/patient_pruner.h"

#include <cmath>
#include <utility>

#include "hone/core/checked.h"
#include "hone/tune/pareto.h"

namespace hone::tune {

PatientPruner::PatientPruner(std::unique_ptr<Pruner> wrapped, const PatientOptions& options)
    : wrapped_(std::move(wrapped)), options_(checked(options, "PatientPruner")) {}

bool PatientPruner::prune(const StudyView& study, Trial& trial) {
  const auto reports = static_cast<int64_t>(trial.intermediate.size());
  const int64_t before = reports - options_.patience - 1;
  if (before <= 0) return false;
  double best_before = NAN, best_after = NAN;
  int64_t i = 0;
  for (const auto& [step, value] : trial.intermediate) {
    double& best = i++ < before ? best_before : best_after;
    best = std::fmin(best, loss(value, study.directions.at(0)));
  }
  if (!(best_before + options_.min_delta < best_after)) return false;
  return !wrapped_ || wrapped_->prune(study, trial);
}

StudyView PatientPruner::sampler_view(const StudyView& study, const Trial& trial) {
  return wrapped_ ? wrapped_->sampler_view(study, trial) : study;
}

}  // namespace hone::tune
