/// Quasi-random search.
#pragma once
#include <cstdint>
#include <memory>

#include "hone/tune/samplers/sampler.h"

namespace hone::tune {

/// Scrambled Sobol points over the parameters of the first trial that ended, one coordinate each;
/// grid points and choices own equal shares of theirs. Trial n takes point n: parallel workers
/// never share one, and no state is stored. Before a trial has ended, and for parameters that the
/// first lacks, draws are random. The scrambling depends on the first seed only, not on reseed():
/// all workers must have the same. Differs from Optuna's QMCSampler in that its points are numbered
/// by a counter in the study.
/// Throws: Error from sample_relative() for more than 128 parameters or 2^30 trials.
std::unique_ptr<Sampler> make_quasi_random_sampler(uint64_t seed);

}  // namespace hone::tune
