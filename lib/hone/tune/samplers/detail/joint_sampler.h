/// What samplers that draw parameters jointly have in common.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "hone/tune/samplers/detail/random_state.h"
#include "hone/tune/samplers/random_sampler.h"
#include "hone/tune/samplers/sampler.h"

namespace hone::tune::detail {

/// Draws parameters that are not drawn jointly at random, from a stream of their own.
class JointSampler : public Sampler {
 public:
  explicit JointSampler(uint64_t seed) : random_(seed), independent_(make_random_sampler(seed)) {}

  void reseed(uint64_t seed) override {
    random_.reseed(seed);
    independent_->reseed(seed);
  }
  double sample_independent(const StudyView& study, Trial& trial, const std::string& name,
                            const Distribution& distribution) override {
    return independent_->sample_independent(study, trial, name, distribution);
  }

 protected:
  RandomState random_;  ///< of the joint draws

 private:
  const std::unique_ptr<Sampler> independent_;
};

}  // namespace hone::tune::detail
