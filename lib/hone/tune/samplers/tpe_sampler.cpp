#include "hone/tune/samplers/tpe_sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "hone/core/error.h"
#include "hone/tune/detail/order.h"
#include "hone/tune/pareto.h"
#include "hone/tune/samplers/detail/joint_sampler.h"
#include "hone/tune/samplers/detail/parzen_estimator.h"
#include "hone/tune/samplers/detail/transform.h"
#include "hone/tune/samplers/hypervolume.h"
#include "hone/tune/storage/detail/trial_table.h"

namespace hone::tune {

using detail::Observations;
using detail::ParzenEstimator;
using detail::TrialTable;

namespace {

constexpr const char* kRelative = "tpe:relative_params";

/// Number of the trials that count as good.
size_t num_below(size_t trials, bool several_objectives) {
  const double tenth = std::ceil(0.1 * static_cast<double>(trials));
  return static_cast<size_t>(several_objectives ? tenth : std::min(tenth, 25.0));
}

Suggestion suggestion(const SearchSpace& space, const std::vector<double>& point) {
  Suggestion values;
  size_t i = 0;
  for (const auto& [name, distribution] : space) values[name] = point[i++];
  return values;
}

class TpeSampler final : public detail::JointSampler {
 public:
  TpeSampler(const TpeOptions& options, uint64_t seed);

  Suggestion sample_relative(const StudyView& study, Trial& trial) override;
  double sample_independent(const StudyView& study, Trial& trial, const std::string& name,
                            const Distribution& distribution) override;

 private:
  using Rows = std::vector<uint32_t>;
  enum Side { kBelow, kAbove };

  bool multivariate(const StudyView& study) const;
  void update(const StudyView& study, const Trial& trial);
  void split(const StudyView& study);
  Rows best(const StudyView& study, size_t count) const;
  ParzenEstimator estimator(const SearchSpace& space, Side side, double choice_prior_weight);
  /// `may`: whether a candidate may be tried; null, all may.
  Suggestion draw(const SearchSpace& space, double choice_prior_weight,
                  const std::function<bool(const Suggestion&)>& may);

  /// Normalisers of one parameter's kernels, by row, for one distribution.
  struct Known {
    Distribution distribution;
    std::vector<detail::Normaliser> sides[2];
  };

  TpeOptions options_;
  TrialTable table_;
  std::map<std::string, Known> known_;
  Rows sides_[2];
  Rows best_;  ///< for best_version_
  std::optional<uint64_t> best_version_;
  bool several_objectives_ = false;
};

TpeSampler::TpeSampler(const TpeOptions& options, uint64_t seed)
    : JointSampler(seed), options_(options) {
  if (options_.group && options_.multivariate == false) {
    throw Error("TpeSampler: group draws jointly, which multivariate = false forbids");
  }
}

bool TpeSampler::multivariate(const StudyView& study) const {
  return options_.multivariate.value_or(options_.group || study.directions.size() <= 1);
}

void TpeSampler::update(const StudyView& study, const Trial& trial) {
  several_objectives_ = study.directions.size() > 1;
  table_.update(study, multivariate(study) ? kRelative : nullptr, trial.number);
}

TpeSampler::Rows TpeSampler::best(const StudyView& study, size_t count) const {
  const auto& rows = table_.rows();
  Rows ranked, complete;
  for (uint32_t i = 0; i < rows.size(); ++i) {
    if (rows[i].rank == TrialTable::Rank::kUnranked) continue;
    const bool apart = several_objectives_ && rows[i].rank == TrialTable::Rank::kComplete;
    (apart ? complete : ranked).push_back(i);
  }
  Rows chosen;
  if (!complete.empty()) {
    Losses all;
    for (const uint32_t i : complete) all.push_back(losses(*rows[i].trial, study.directions));
    for (const size_t i : best_rows(all, std::min(count, all.size()))) {
      chosen.push_back(complete[i]);
    }
  }
  const size_t rest = std::min(count - chosen.size(), ranked.size());
  const auto key = [&](uint32_t i) {
    return std::tuple(rows[i].rank, rows[i].first, rows[i].second, i);
  };
  std::nth_element(ranked.begin(), ranked.begin() + rest, ranked.end(),
                   [&](uint32_t a, uint32_t b) { return key(a) < key(b); });
  chosen.insert(chosen.end(), ranked.begin(), ranked.begin() + rest);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

void TpeSampler::split(const StudyView& study) {
  if (best_version_ != table_.version()) {
    best_ = best(study, num_below(table_.num_ranked(), several_objectives_));
    best_version_ = table_.version();
  }
  sides_[kBelow] = best_;
  sides_[kAbove].clear();
  const auto& rows = table_.rows();
  auto next = best_.begin();
  for (uint32_t i = 0; i < rows.size(); ++i) {
    if (next != best_.end() && *next == i) {
      ++next;
      continue;
    }
    const bool ranked = rows[i].rank != TrialTable::Rank::kUnranked;
    const bool lie =
        options_.constant_liar && rows[i].trial && rows[i].trial->state == TrialState::kRunning;
    if (ranked || lie) sides_[kAbove].push_back(i);
  }
}

ParzenEstimator TpeSampler::estimator(const SearchSpace& space, Side side,
                                      double choice_prior_weight) {
  constexpr uint32_t kOut = ~uint32_t{0};
  std::vector<const TrialTable::Column*> columns;
  for (const auto& [name, distribution] : space) {
    const TrialTable::Column* column = table_.column(name);
    const bool fits = column && compatible(column->distribution, distribution);
    columns.push_back(fits ? column : nullptr);
  }
  Rows rows;
  std::vector<uint32_t> position(table_.rows().size(), kOut);
  for (const uint32_t row : sides_[side]) {
    const bool whole = std::all_of(columns.begin(), columns.end(),
                                   [&](const auto* column) { return column && column->has(row); });
    if (!whole) continue;
    position[row] = static_cast<uint32_t>(rows.size());
    rows.push_back(row);
  }
  std::vector<Observations> parameters;
  size_t next = 0;
  for (const auto& [name, distribution] : space) {
    const TrialTable::Column* column = columns[next++];
    Observations& o = parameters.emplace_back(Observations{distribution});
    Known& known = known_[name];
    if (known.distribution != distribution) known = {distribution};
    auto& normalisers = known.sides[side];
    normalisers.resize(table_.rows().size());
    for (const uint32_t row : rows) {
      o.values.push_back(column->values[row]);
      o.known.push_back(&normalisers[row]);
    }
    if (!column || detail::num_choices(distribution)) continue;
    for (const uint32_t row : column->ascending) {
      if (position[row] != kOut) o.ascending.push_back(position[row]);
    }
  }
  auto weights = side == kBelow && several_objectives_ ? std::vector<double>(rows.size(), 1.0)
                                                       : detail::recency_weights(rows.size());
  return ParzenEstimator(parameters, std::move(weights), options_.prior_weight,
                         choice_prior_weight);
}

Suggestion TpeSampler::draw(const SearchSpace& space, double choice_prior_weight,
                            const std::function<bool(const Suggestion&)>& may) {
  const ParzenEstimator below = estimator(space, kBelow, choice_prior_weight);
  const ParzenEstimator above = estimator(space, kAbove, choice_prior_weight);
  const auto points = below.sample(random_, static_cast<size_t>(options_.candidates));
  std::vector<double> scores = below.log_pdf(points);
  const std::vector<double> others = above.log_pdf(points);
  for (size_t i = 0; i < scores.size(); ++i) scores[i] -= others[i];
  const std::vector<size_t> order = detail::sorted_order(
      scores.size(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  for (const size_t i : order) {
    Suggestion candidate = suggestion(space, points[i]);
    if (!may || may(candidate)) return candidate;
  }
  return suggestion(space, points[order.front()]);
}

Suggestion TpeSampler::sample_relative(const StudyView& study, Trial& trial) {
  if (!multivariate(study)) return {};
  update(study, trial);
  if (table_.num_ranked() < static_cast<size_t>(options_.startup_trials)) return {};
  std::vector<SearchSpace> spaces;
  if (options_.group) {
    spaces = table_.group().spaces();
  } else if (SearchSpace space = table_.intersection().space(); !space.empty()) {
    spaces.push_back(std::move(space));
  }
  split(study);
  Suggestion values;
  SearchSpace whole;
  for (const SearchSpace& space : spaces) {
    // Only the last block makes a suggestion whole.
    const auto may = [&](Suggestion candidate) {
      candidate.insert(values.begin(), values.end());
      return may_try(candidate);
    };
    const bool ask = may_try && &space == &spaces.back();
    values.merge(draw(space, options_.choice_prior_weight,
                      ask ? std::function<bool(const Suggestion&)>(may) : nullptr));
    whole.insert(space.begin(), space.end());
  }
  if (options_.constant_liar && !values.empty()) {
    detail::store_relative(kRelative, whole, values, trial);
  }
  return values;
}

double TpeSampler::sample_independent(const StudyView& study, Trial& trial, const std::string& name,
                                      const Distribution& distribution) {
  update(study, trial);
  if (table_.num_ranked() < static_cast<size_t>(options_.startup_trials)) {
    return JointSampler::sample_independent(study, trial, name, distribution);
  }
  split(study);
  return draw({{name, distribution}}, options_.prior_weight, nullptr).at(name);
}

}  // namespace

void TpeOptions::validate(Validation& v) const {
  if (group && multivariate == false) {
    v.problem("group", "draws jointly, which multivariate = false forbids; set one of them");
  }
}

std::unique_ptr<Sampler> make_tpe_sampler(const TpeOptions& options, uint64_t seed) {
  return std::make_unique<TpeSampler>(options, seed);
}

}  // namespace hone::tune
