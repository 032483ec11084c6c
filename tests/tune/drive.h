/// Studies in memory that a sampler drives, for its tests.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/random.h"
#include "hone/tune/samplers/sampler.h"

namespace hone::tune {

/// Parameters in the order of suggestion.
using Ordered = std::vector<std::pair<std::string, Distribution>>;
using Objective = std::function<std::vector<double>(const Suggestion&)>;

/// A running trial with all its parameters, not yet in the study.
inline Trial ask(Sampler& sampler, const StudyView& study, const Ordered& space) {
  Trial trial;
  trial.number = trial.id = static_cast<int64_t>(study.trials.size());
  sampler.reseed(derive_seed(7, "trial " + std::to_string(trial.number)));
  const Suggestion joint = sampler.sample_relative(study, trial);
  for (const auto& [name, distribution] : space) {
    const auto found = joint.find(name);
    const double value = found != joint.end()
                             ? found->second
                             : sampler.sample_independent(study, trial, name, distribution);
    trial.params.push_back({name, value, distribution});
  }
  return trial;
}

inline Suggestion values(const Trial& trial) {
  Suggestion values;
  for (const Param& param : trial.params) values[param.name] = param.value;
  return values;
}

inline void add(StudyView& study, Trial trial) {
  study.trials.push_back(std::make_shared<const Trial>(std::move(trial)));
}

/// Completes the trial with the objective's values.
inline void complete(StudyView& study, Trial trial, const Objective& objective) {
  trial.state = TrialState::kComplete;
  trial.values = objective(values(trial));
  add(study, std::move(trial));
}

inline void drive(Sampler& sampler, StudyView& study, const Ordered& space,
                  const Objective& objective, int trials) {
  for (int i = 0; i < trials; ++i) complete(study, ask(sampler, study, space), objective);
}

/// The least first value.
inline double best(const StudyView& study) {
  double best = INFINITY;
  for (const TrialPtr& trial : study.trials) {
    if (trial->state == TrialState::kComplete) best = std::min(best, trial->values[0]);
  }
  return best;
}

}  // namespace hone::tune
