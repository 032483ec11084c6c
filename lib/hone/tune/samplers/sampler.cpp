#include "hone/tune/samplers/sampler.h"

#include "hone/tune/samplers/detail/search_space_group.h"

namespace hone::tune {

SearchSpace intersection_space(const StudyView& study, bool fixed_ranges) {
  detail::IntersectionSpace intersection;
  for (const TrialPtr& trial : study.trials) {
    if (trial->state == TrialState::kComplete || trial->state == TrialState::kPruned) {
      intersection.add(*trial, fixed_ranges);
    }
  }
  return intersection.space();
}

}  // namespace hone::tune
