#include "hone/tune/samplers/random_sampler.h"

#include <algorithm>
#include <string>
#include <vector>

#include "hone/tune/samplers/detail/random_state.h"
#include "hone/tune/samplers/detail/transform.h"

namespace hone::tune {
namespace {

class RandomSampler final : public Sampler {
 public:
  explicit RandomSampler(uint64_t seed) : random_(seed) {}

  void reseed(uint64_t seed) override { random_.reseed(seed); }
  Suggestion sample_relative(const StudyView&, Trial&) override { return {}; }
  double sample_independent(const StudyView&, Trial&, const std::string&,
                            const Distribution& distribution) override {
    if (const size_t n = detail::num_choices(distribution)) {
      // Optuna draws in the one-hot space and takes the largest coordinate.
      const std::vector<double> draws = random_.uniforms(n);
      return static_cast<double>(std::max_element(draws.begin(), draws.end()) - draws.begin());
    }
    const detail::Bounds b = detail::bounds(distribution);
    return detail::untransform(distribution, random_.uniform(b.low, b.high));
  }

 private:
  detail::RandomState random_;
};

}  // namespace

std::unique_ptr<Sampler> make_random_sampler(uint64_t seed) {
  return std::make_unique<RandomSampler>(seed);
}

}  // namespace hone::tune
