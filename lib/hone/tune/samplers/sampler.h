/// What chooses the parameters of a trial.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "hone/tune/trial.h"

namespace hone::tune {

/// Parameters by name, so in the order in which joint samplers draw them.
using SearchSpace = std::map<std::string, Distribution>;
/// Internal values by name.
using Suggestion = std::map<std::string, double>;

/// The parameters, with the newest distribution's bounds, that every COMPLETE and PRUNED trial has.
/// Single-valued ones are left out, and where `fixed_ranges` those whose bounds changed.
SearchSpace intersection_space(const StudyView& study, bool fixed_ranges);

/// Not for several threads at once. A sampler may keep what it derived from finished trials, which
/// it knows by their ids, from call to call; it serves one study.
class Sampler {
 public:
  virtual ~Sampler() = default;

  /// Begins new random streams. With one seed a trial number, suggestions do not depend on which
  /// process asks nor on how often a study was interrupted.
  virtual void reseed(uint64_t seed) = 0;

  /// Values of parameters that are drawn jointly; {} while there are too few trials. May set
  /// system attributes of `trial`, which the caller then stores. `trial` is RUNNING, has no
  /// parameters yet and is in study.trials or not.
  virtual Suggestion sample_relative(const StudyView& study, Trial& trial) = 0;

  /// A value for a parameter that sample_relative left out, asked in the order of suggestion.
  virtual double sample_independent(const StudyView& study, Trial& trial, const std::string& name,
                                    const Distribution& distribution) = 0;

  /// Whether there is nothing left to try (grid).
  virtual bool exhausted(const StudyView& study) const { return false; }

  /// Known constraint: whether a joint suggestion may be tried at all; absent, all may. Samplers
  /// that rank candidates choose among those that may. The caller redraws what may not.
  std::function<bool(const Suggestion&)> may_try;
};

}  // namespace hone::tune
