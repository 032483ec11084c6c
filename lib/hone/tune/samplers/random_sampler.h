/// Uniform random search.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "hone/tune/samplers/detail/random_state.h"
#include "hone/tune/samplers/sampler.h"

namespace hone::tune {

/// Draws every parameter by itself: numbers evenly over their range, in the logarithm where log,
/// every grid point with equal probability.
/// Parity: the values of Optuna's RandomSampler(seed), for seeds below 2^32
///   (tests/interop/tune_samplers.py).
class RandomSampler final : public Sampler {
 public:
  explicit RandomSampler(uint64_t seed) : random_(seed) {}

  void reseed(uint64_t seed) override { random_.reseed(seed); }
  Suggestion sample_relative(const StudyView&, Trial&) override { return {}; }
  double sample_independent(const StudyView&, Trial&, const std::string&,
                            const Distribution& distribution) override;

 private:
  detail::RandomState random_;
};

std::unique_ptr<Sampler> make_random_sampler(uint64_t seed);

}  // namespace hone::tune
