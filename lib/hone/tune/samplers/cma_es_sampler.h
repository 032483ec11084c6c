/// Evolution strategy with an adapting covariance matrix.
#pragma once
#include <cstdint>
#include <memory>

#include "hone/core/field.h"
#include "hone/tune/samplers/sampler.h"

namespace hone::tune {

struct CmaEsOptions {
  int64_t startup_trials = 1;  ///< COMPLETE trials before the first draw from the distribution
  int64_t population = 0;      ///< trials of a generation; 0: 4 + floor(3 ln d) of d parameters
  double sigma = 1.0 / 6;      ///< first standard deviation, of the range of each parameter

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("startup_trials", self.startup_trials, "Complete trials before the first generation.",
      Range{1, 1e6});
    v("population", self.population, "Trials of a generation; 0: from the number of parameters.",
      Range{0, 1e6});
    v("sigma", self.sigma, "First standard deviation, of the range of each parameter.",
      Range{1e-6, 10});
  }
  void validate(Validation& v) const;
};

/// CMA-ES over the numeric parameters that every COMPLETE and PRUNED trial has; categorical ones,
/// single-valued ones and those of changing range are drawn at random. Points outside the bounds,
/// or that may_try refuses, are redrawn 10 d times, then clipped.
///
/// No state but the study's: each trial keeps in the system attribute "hone:cma" the generation it
/// was drawn for, the trials that the generation was bred from, and a hash of the space and
/// options. Whichever process asks rebuilds the same distribution from them. A generation ends when
/// as many trials as its population are COMPLETE; PRUNED and failed ones do not count, so that a
/// pruner only delays it. Generations drawn for another space or other options are not continued.
/// Single-objective. Recorded constraints are not used.
/// Cost: O(n) and O(d^3) a generation, for n trials.
/// Throws: Error from sample_relative() if the study has several objectives.
/// Source: detail/cma_es.h; defaults are those of Optuna's CmaEsSampler.
std::unique_ptr<Sampler> make_cma_es_sampler(const CmaEsOptions& options, uint64_t seed);

}  // namespace hone::tune
