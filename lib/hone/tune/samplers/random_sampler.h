/// Uniform random search.
#pragma once
#include <cstdint>
#include <memory>

#include "hone/tune/samplers/sampler.h"

namespace hone::tune {

/// Draws every parameter by itself: numbers evenly over their range, in the logarithm where log,
/// every grid point with equal probability.
/// Parity: the values of Optuna's RandomSampler(seed), for seeds below 2^32
///   (tests/interop/tune_samplers.py).
std::unique_ptr<Sampler> make_random_sampler(uint64_t seed);

}  // namespace hone::tune
