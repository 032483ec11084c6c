/// Quasi-random search.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "hone/tune/samplers/detail/sobol.h"
#include "hone/tune/samplers/random_sampler.h"
#include "hone/tune/samplers/sampler.h"

namespace hone::tune {

/// Scrambled Sobol points over the parameters of the first trial that ended, one coordinate each;
/// grid points and choices own equal shares of theirs. Trial n takes point n: parallel workers
/// never share one, and no state is stored. Before a trial has ended, and for parameters that the
/// first lacks, draws are random. The scrambling depends on the first seed only, not on reseed():
/// all workers must have the same. Differs from Optuna's QMCSampler in that its points are numbered
/// by a counter in the study.
class QuasiRandomSampler final : public Sampler {
 public:
  explicit QuasiRandomSampler(uint64_t seed) : seed_(seed), startup_(seed) {}

  void reseed(uint64_t seed) override { startup_.reseed(seed); }
  /// Throws: Error for more than Sobol::kMostDimensions parameters or 2^30 trials.
  Suggestion sample_relative(const StudyView& study, Trial& trial) override;
  double sample_independent(const StudyView& study, Trial& trial, const std::string& name,
                            const Distribution& distribution) override {
    return startup_.sample_independent(study, trial, name, distribution);
  }

 private:
  uint64_t seed_;
  std::optional<detail::Sobol> sobol_;
  RandomSampler startup_;
};

std::unique_ptr<Sampler> make_quasi_random_sampler(uint64_t seed);

}  // namespace hone::tune
