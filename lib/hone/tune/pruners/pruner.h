/// What stops trials that will not be good.
#pragma once
#include "hone/tune/trial.h"

namespace hone::tune {

class Pruner {
 public:
  virtual ~Pruner() = default;

  /// Whether the running trial, which has just reported its last intermediate value, should stop.
  /// May set system attributes of `trial`, which the caller then stores. Single-objective studies
  /// only: `study.directions[0]` says which way is better.
  virtual bool prune(const StudyView& study, Trial& trial) = 0;

  /// The study as the sampler should see it for this trial (Hyperband: its bracket's trials only).
  virtual StudyView sampler_view(const StudyView& study, const Trial& trial) { return study; }
};

}  // namespace hone::tune
