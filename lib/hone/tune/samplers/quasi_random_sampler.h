/// Quasi-random search.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "hone/tune/samplers/detail/sobol.h"
#include "hone/tune/samplers/joint_sampler.h"

namespace hone::tune {

/// Scrambled Sobol points over the parameters of the first trial that ended, one coordinate each;
/// grid points and choices own equal shares of theirs. Trial n takes point n: parallel workers
/// never share one, and no state is stored. Before a trial has ended, and for parameters that the
/// first lacks, draws are random. The scrambling depends on the first seed only, not on reseed():
/// all workers must have the same. Differs from Optuna's QMCSampler in that its points are numbered
/// by a counter in the study.
class QuasiRandomSampler final : public JointSampler {
 public:
  explicit QuasiRandomSampler(uint64_t seed) : JointSampler(seed), seed_(seed) {}

  /// Throws: Error for more than Sobol::kMostDimensions parameters or 2^30 trials.
  Suggestion sample_relative(const StudyView& study, Trial& trial) override;

 private:
  uint64_t seed_;
  std::optional<detail::Sobol> sobol_;
};

std::unique_ptr<Sampler> make_quasi_random_sampler(uint64_t seed);

}  // namespace hone::tune
