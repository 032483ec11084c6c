/// Bayesian optimisation with Gaussian processes.
#pragma once
#include <cstdint>
#include <memory>

#include "hone/core/field.h"
#include "hone/tune/samplers/sampler.h"

namespace hone::tune {

struct GpOptions {
  int64_t startup_trials = 10;     ///< COMPLETE trials before the first model
  bool sobol_startup = false;      ///< spread the first trials by a Sobol sequence, not at random
  int64_t max_observations = 500;  ///< trials that a model is fitted to

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("startup_trials", self.startup_trials, "Complete trials before the first model.",
      Range{1, 1e6});
    v("sobol_startup", self.sobol_startup,
      "Spread the first trials, from the second on, by a scrambled Sobol sequence.");
    v("max_observations", self.max_observations,
      "Trials that a model is fitted to: of more, the best half and the newest of the others.",
      Range{10, 5000});
  }
};

/// Fits a Gaussian process to the COMPLETE trials and tries next where the expected improvement
/// over the best of them is largest. Parameters that not every COMPLETE and PRUNED trial has, and
/// those of changing range, are drawn at random.
///
/// - Values are standardised; infinite ones become the worst or best finite one. Those of one
///   objective that are worse than the median m are drawn towards it first, from v to
///   m + s log(1 + (v - m) / s), where s is the distance of m from the best.
/// - Running trials, whose parameters are known, count by what the model expects of them, so that
///   parallel workers spread out (128 samples of their outcomes).
/// - Several objectives: the expected hypervolume improvement over the Pareto front, 128 samples.
/// - Recorded constraints ("constraints"): a model of each that any trial has violated multiplies
///   the improvement by the probability that it holds.
/// - Known constraints: no candidate that may_try refuses is ranked.
///
/// Suggestions depend on the study, the seed and nothing else; models keep no memory of each other.
/// Cost: O(n^3) in the number of observations n; docs/benchmarks/samplers.md has times.
/// Source: as Optuna 5.0's GPSampler, but for values drawn towards the median, four times the local
///   searches, known constraints, constraints never violated, and models fitted anew;
///   detail/gaussian_process.h, detail/acquisition.h.
std::unique_ptr<Sampler> make_gp_sampler(const GpOptions& options, uint64_t seed);

}  // namespace hone::tune
