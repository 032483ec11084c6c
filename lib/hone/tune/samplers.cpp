#include "hone/tune/samplers.h"

#include <limits>

#include "hone/core/error.h"
#include "hone/tune/random_sampler.h"

namespace hone::tune {

SamplerChoice choose_sampler(const SamplerOptions& options, const Space& space, int64_t trials,
                             size_t objectives) {
  if (options.kind != SamplerKind::kAuto) return {options.kind, "as the recipe says"};
  return {SamplerKind::kRandom, "auto"};
}

void check_sampler(const SamplerOptions& options, const Space& space, size_t objectives) {}

int64_t most_trials(SamplerKind kind, const Space& space) {
  return std::numeric_limits<int64_t>::max();
}

std::unique_ptr<Sampler> make_sampler(const SamplerOptions& options, SamplerKind kind,
                                      const Space& space) {
  return make_random_sampler(options.seed);
}

}  // namespace hone::tune
