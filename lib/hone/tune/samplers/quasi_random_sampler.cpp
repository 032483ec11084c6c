#include "hone/tune/samplers/quasi_random_sampler.h"

#include <optional>
#include <vector>

#include "hone/tune/samplers/detail/joint_sampler.h"
#include "hone/tune/samplers/detail/sobol.h"
#include "hone/tune/samplers/detail/transform.h"

namespace hone::tune {
namespace {

/// The parameters of the first trial that was completed or pruned.
SearchSpace first_space(const StudyView& study) {
  SearchSpace space;
  for (const TrialPtr& trial : study.trials) {
    if (trial->state != TrialState::kComplete && trial->state != TrialState::kPruned) continue;
    for (const Param& param : trial->params) {
      if (!single(param.distribution)) space.emplace(param.name, param.distribution);
    }
    break;
  }
  return space;
}

class QuasiRandomSampler final : public detail::JointSampler {
 public:
  explicit QuasiRandomSampler(uint64_t seed) : JointSampler(seed), seed_(seed) {}

  Suggestion sample_relative(const StudyView& study, Trial& trial) override {
    const SearchSpace space = first_space(study);
    if (space.empty()) return {};
    if (!sobol_ || sobol_->dimensions() != space.size()) sobol_.emplace(space.size(), seed_);
    const std::vector<double> point = sobol_->point(static_cast<uint64_t>(trial.number));
    Suggestion values;
    size_t i = 0;
    for (const auto& [name, distribution] : space) {
      values[name] = detail::from_unit(distribution, point[i++]);
    }
    return values;
  }

 private:
  uint64_t seed_;
  std::optional<detail::Sobol> sobol_;
};

}  // namespace

std::unique_ptr<Sampler> make_quasi_random_sampler(uint64_t seed) {
  return std::make_unique<QuasiRandomSampler>(seed);
}

}  // namespace hone::tune
