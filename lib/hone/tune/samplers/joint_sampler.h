/// What samplers that draw parameters jointly have in common.
#pragma once
#include <cstdint>
#include <string>

#include "hone/tune/samplers/detail/random_state.h"
#include "hone/tune/samplers/random_sampler.h"
#include "hone/tune/samplers/sampler.h"

namespace hone::tune {

/// Draws parameters that are not drawn jointly at random, from a stream of their own.
class JointSampler : public Sampler {
 public:
  explicit JointSampler(uint64_t seed) : random_(seed), independent_(seed) {}

  void reseed(uint64_t seed) override {
    random_.reseed(seed);
    independent_.reseed(seed);
  }
  double sample_independent(const StudyView& study, Trial& trial, const std::string& name,
                            const Distribution& distribution) override {
    return independent_.sample_independent(study, trial, name, distribution);
  }

 protected:
  detail::RandomState random_;  ///< of the joint draws

 private:
  RandomSampler independent_;
};

}  // namespace hone::tune
