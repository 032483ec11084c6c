#include "hone/tune/samplers/cma_es_sampler.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/hash.h"
#include "hone/tune/pareto.h"
#include "hone/tune/samplers/detail/cma_es.h"
#include "hone/tune/samplers/detail/joint_sampler.h"
#include "hone/tune/samplers/detail/unit_cube.h"

namespace hone::tune {
namespace {

using detail::CmaEs;

constexpr const char* kMark = "hone:cma";
constexpr int64_t kRedrawsPerAxis = 10;

/// What a trial says of the generation that it was drawn for.
struct Mark {
  int64_t generation = 0;
  std::vector<int64_t> parents;  ///< numbers of the trials that ended the generation before
  std::string search;            ///< hash of space and options

  Json json() const {
    return {{"generation", generation}, {"parents", parents}, {"search", search}};
  }
};

/// nullopt if the trial has none or one that was not written by this sampler.
std::optional<Mark> mark_of(const Trial& trial) {
  const auto found = trial.system_attrs.find(kMark);
  if (found == trial.system_attrs.end()) return std::nullopt;
  try {
    const Json& json = found->second;
    return Mark{json.at("generation").get<int64_t>(),
                json.at("parents").get<std::vector<int64_t>>(),
                json.at("search").get<std::string>()};
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

SearchSpace numeric(SearchSpace space) {
  std::erase_if(space, [](const auto& entry) {
    return std::holds_alternative<CategoricalDistribution>(entry.second);
  });
  return space;
}

std::string hash_of(const SearchSpace& space, const CmaEsOptions& options) {
  Json json = {options.population, options.sigma};
  for (const auto& [name, distribution] : space) {
    json.push_back({name, distribution_text(distribution)});
  }
  return hash_bytes(json.dump());
}

/// The distribution that a study's marked trials have bred, and whom its next trial names as
/// parents.
class Lineage {
 public:
  Lineage(const StudyView& study, const SearchSpace& space, const CmaEsOptions& options)
      : study_(study),
        space_(space),
        search_(hash_of(space, options)),
        strategy_(Eigen::VectorXd::Constant(space.size(), 0.5), options.sigma, options.population) {
    for (const TrialPtr& trial : study.trials) {
      by_number_[trial->number] = trial.get();
      const std::optional<Mark> mark = mark_of(*trial);
      if (!mark || mark->search != search_) continue;
      Generation& generation = generations_[mark->generation];
      // Workers that meet a generation's end at once may see other parents: the first trial
      // decides.
      if (generation.drawn++ == 0) generation.parents = mark->parents;
      if (trial->state == TrialState::kComplete) generation.complete.push_back(trial->number);
    }
    while (advance()) {
    }
  }

  const CmaEs& strategy() const { return strategy_; }
  Json mark() const { return Mark{strategy_.generation(), parents_, search_}.json(); }

 private:
  struct Generation {
    int64_t drawn = 0;
    std::vector<int64_t> parents, complete;
  };

  /// Ends the current generation if a later one began from it or its population is complete.
  bool advance() {
    const auto next = generations_.find(strategy_.generation() + 1);
    std::vector<int64_t> parents =
        next == generations_.end() ? std::vector<int64_t>{} : next->second.parents;
    if (next == generations_.end()) {
      parents = generations_[strategy_.generation()].complete;
      if (static_cast<int64_t>(parents.size()) < strategy_.population()) return false;
      parents.resize(strategy_.population());
    }
    std::vector<CmaEs::Solution> solutions;
    for (const int64_t number : parents) {
      const auto found = by_number_.find(number);
      if (found == by_number_.end() || found->second->state != TrialState::kComplete) return false;
      const Suggestion values = detail::values_of(space_, *found->second);
      if (values.empty()) return false;
      solutions.push_back(
          {detail::to_cube(space_, values), losses(*found->second, study_.directions).front()});
    }
    if (static_cast<int64_t>(solutions.size()) != strategy_.population()) return false;
    strategy_.update(std::move(solutions));
    parents_ = std::move(parents);
    return true;
  }

  const StudyView& study_;
  const SearchSpace& space_;
  const std::string search_;
  CmaEs strategy_;
  std::map<int64_t, const Trial*> by_number_;
  std::map<int64_t, Generation> generations_;
  std::vector<int64_t> parents_;
};

class CmaEsSampler final : public detail::JointSampler {
 public:
  CmaEsSampler(const CmaEsOptions& options, uint64_t seed)
      : JointSampler(seed), options_(options) {}

  Suggestion sample_relative(const StudyView& study, Trial& trial) override;

 private:
  CmaEsOptions options_;
};

Suggestion CmaEsSampler::sample_relative(const StudyView& study, Trial& trial) {
  if (study.directions.size() != 1) {
    throw Error("CmaEsSampler: expected a study of one objective, got " +
                std::to_string(study.directions.size()) + "; use TPE or a Gaussian process");
  }
  const auto complete =
      std::count_if(study.trials.begin(), study.trials.end(),
                    [](const TrialPtr& t) { return t->state == TrialState::kComplete; });
  const SearchSpace space = numeric(intersection_space(study, /*fixed_ranges=*/true));
  if (complete < options_.startup_trials || space.empty()) return {};

  const Lineage lineage(study, space, options_);
  trial.system_attrs[kMark] = lineage.mark();
  Eigen::VectorXd z(space.size()), point;
  for (int64_t draw = 0; draw <= kRedrawsPerAxis * z.size(); ++draw) {
    for (double& value : z) value = random_.normal();
    point = lineage.strategy().point(z);
    if (point.minCoeff() < 0 || point.maxCoeff() > 1) continue;
    Suggestion values = detail::from_cube(space, point);
    if (!may_try || may_try(values)) return values;
  }
  return detail::from_cube(space, point.cwiseMax(0).cwiseMin(1));
}

}  // namespace

void CmaEsOptions::validate(Validation& v) const {
  if (population == 1 || population == 2) {
    v.problem("population", "expected 0 or at least 3, got " + std::to_string(population));
  }
}

std::unique_ptr<Sampler> make_cma_es_sampler(const CmaEsOptions& options, uint64_t seed) {
  return std::make_unique<CmaEsSampler>(options, seed);
}

}  // namespace hone::tune
