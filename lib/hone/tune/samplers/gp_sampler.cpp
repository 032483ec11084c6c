#include "hone/tune/samplers/gp_sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "hone/core/hash.h"
#include "hone/tune/pareto.h"
#include "hone/tune/samplers/detail/gp_optimise.h"
#include "hone/tune/samplers/detail/hypervolume_improvement.h"
#include "hone/tune/samplers/detail/joint_sampler.h"
#include "hone/tune/samplers/detail/random_state.h"
#include "hone/tune/samplers/detail/sampled_acquisition.h"
#include "hone/tune/samplers/detail/sobol.h"
#include "hone/tune/samplers/detail/transform.h"
#include "hone/tune/samplers/detail/unit_cube.h"
#include "hone/tune/samplers/hypervolume.h"

namespace hone::tune {
namespace {

using detail::Acquisition;
using detail::GaussianProcess;
using detail::Target;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr Index kSamples = 128;
constexpr size_t kMostFrontStarts = 5;
constexpr double kLeastDeviation = 1e-10;  // of values that are all but equal
constexpr double kMostValue = 1e150;       // beyond, sums of squares overflow
constexpr double kNothing = -std::numeric_limits<double>::infinity();

/// Infinite values become the worst or best finite one.
VectorXd bounded(VectorXd values) {
  double least = std::numeric_limits<double>::infinity(), most = -least;
  for (const double v : values) {
    if (std::isfinite(v)) least = std::min(least, v), most = std::max(most, v);
  }
  if (least > most) least = most = 0;
  least = std::max(least, -kMostValue), most = std::min(most, kMostValue);
  return values.cwiseMax(least).cwiseMin(most);
}

/// Gains of which those below the median are drawn in by a logarithm, whose scale is the distance
/// of the best from the median: how bad a bad trial is tells little of where the best lies, and a
/// model that must follow it sees less of what parts the good ones. Source: ours; Song et al. 2024,
/// "The Vizier Gaussian Process Bandit Algorithm", do it by ranks, which lost on Branin.
VectorXd drawn_in(VectorXd gains) {
  std::vector<double> sorted(gains.begin(), gains.end());
  std::sort(sorted.begin(), sorted.end());
  const size_t n = sorted.size();
  const double median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2, scale = sorted.back() - median;
  if (scale < kLeastDeviation) return gains;
  for (double& gain : gains) {
    if (gain < median) gain = median - scale * std::log1p((median - gain) / scale);
  }
  return gains;
}

/// Values as a model takes them: (value - mean) / deviation.
struct Standardised {
  VectorXd values;
  double mean, deviation;

  explicit Standardised(VectorXd raw) : values(std::move(raw)) {
    mean = values.mean();
    values.array() -= mean;
    deviation = std::max(kLeastDeviation, std::sqrt(values.squaredNorm() / values.size()));
    values /= deviation;
  }
  double of(double raw) const { return (raw - mean) / deviation; }
};

/// The trial's constraint values; those that are not finite numbers count as 0.
std::vector<double> constraints_of(const Trial& trial) {
  std::vector<double> values;
  const auto found = trial.system_attrs.find(kConstraints);
  if (found == trial.system_attrs.end() || !found->second.is_array()) return values;
  for (const Json& value : found->second) {
    const double number = value.is_number() ? value.get<double>() : 0;
    values.push_back(std::isfinite(number) ? number : 0);
  }
  return values;
}

/// A suggestion's work: observations, models and what they are asked for.
class Proposal {
 public:
  Proposal(const StudyView& study, const Trial& trial, const SearchSpace& space,
           std::vector<TrialPtr> complete, detail::RandomState& random)
      : study_(study), space_(space), complete_(std::move(complete)), random_(random) {
    for (const auto& [name, distribution] : space_) {
      categorical_.push_back(detail::num_choices(distribution) > 0);
    }
    x_ = points_of(complete_);
    add_objectives();
    add_constraints();
    add_running(trial);
  }

  Suggestion best(const std::function<bool(const Suggestion&)>& may_try) {
    const std::unique_ptr<Acquisition> acquisition = improvement();
    const detail::Maximisation problem = {*acquisition, space_, lengths(), incumbents(), may_try};
    return detail::from_cube(space_, detail::optimise(problem, random_));
  }

 private:
  MatrixXd points_of(const std::vector<TrialPtr>& trials) const {
    MatrixXd points(trials.size(), space_.size());
    for (Index i = 0; i < points.rows(); ++i) {
      points.row(i) = detail::to_cube(space_, detail::values_of(space_, *trials[i]));
    }
    return points;
  }

  GaussianProcess fitted(MatrixXd x, VectorXd y) const {
    GaussianProcess model(std::move(x), std::move(y), categorical_);
    model.fit();
    return model;
  }

  void add_objectives() {
    losses_.resize(x_.rows());
    const bool one = study_.directions.size() == 1;
    for (size_t j = 0; j < study_.directions.size(); ++j) {
      VectorXd gains(x_.rows());
      for (Index i = 0; i < gains.size(); ++i) {
        gains[i] = -losses(*complete_[i], study_.directions)[j];
      }
      gains = bounded(std::move(gains));
      const Standardised y(one ? drawn_in(std::move(gains)) : std::move(gains));
      for (Index i = 0; i < y.values.size(); ++i) losses_[i].push_back(-y.values[i]);
      objectives_.push_back(fitted(x_, y.values));
    }
    for (size_t i = 0; i < complete_.size(); ++i) {
      if (feasible(*complete_[i])) feasible_.push_back(i);
    }
  }

  void add_constraints() {
    std::vector<std::vector<double>> recorded;
    size_t count = 0;
    for (const TrialPtr& trial : complete_) {
      recorded.push_back(constraints_of(*trial));
      count = std::max(count, recorded.back().size());
    }
    for (size_t c = 0; c < count; ++c) {
      std::vector<Index> rows;
      bool violated = false;
      for (size_t i = 0; i < recorded.size(); ++i) {
        if (recorded[i].size() <= c) continue;
        rows.push_back(static_cast<Index>(i));
        violated = violated || recorded[i][c] > 0;
      }
      if (!violated) continue;
      VectorXd slack(rows.size());  // >= 0 where it holds
      for (Index i = 0; i < slack.size(); ++i) slack[i] = -recorded[rows[i]][c];
      const Standardised y(bounded(std::move(slack)));
      constraints_.push_back(fitted(x_(rows, Eigen::all), y.values));
      limits_.push_back(y.of(0));
    }
  }

  /// The newest running trials of known parameters, as many as there are Sobol dimensions for.
  void add_running(const Trial& trial) {
    std::vector<TrialPtr> running;
    const size_t most = detail::Sobol::kMostDimensions / models() - 1;
    for (auto it = study_.trials.rbegin(); it != study_.trials.rend(); ++it) {
      const Trial& other = **it;
      if (running.size() < most && other.state == TrialState::kRunning &&
          other.number != trial.number && !detail::values_of(space_, other).empty()) {
        running.push_back(*it);
      }
    }
    running_ = points_of(running);
  }

  size_t models() const { return objectives_.size() + constraints_.size(); }

  /// The best feasible points so far: of several objectives some of the front.
  std::vector<VectorXd> incumbents() const {
    Losses rows;
    for (const size_t i : feasible_) rows.push_back(losses_[i]);
    if (rows.empty()) return {};
    const std::vector<int64_t> ranks = domination_ranks(rows, size_t{1});
    std::vector<size_t> front;
    for (size_t i = 0; i < ranks.size(); ++i) {
      if (ranks[i] == 0) front.push_back(feasible_[i]);
    }
    random_.shuffle(front);
    front.resize(std::min(front.size(), objectives_.size() == 1 ? 1 : kMostFrontStarts));
    std::vector<VectorXd> points;
    for (const size_t i : front) points.push_back(x_.row(static_cast<Index>(i)));
    return points;
  }

  std::unique_ptr<Acquisition> improvement() {
    const bool alone = running_.rows() == 0;
    const bool one = objectives_.size() == 1;
    if (alone && (one || feasible_.empty())) return analytic(one ? threshold() : kNothing);
    const MatrixXd normals = detail::sobol_normals(kSamples, models() * (running_.rows() + 1),
                                                   random_.integer(0, int64_t{1} << 31));
    std::vector<detail::Fantasies> objectives = fantasies(objectives_, normals, 0);
    std::vector<detail::Fantasies> constraints =
        fantasies(constraints_, normals, objectives_.size());
    if (one || feasible_.empty()) {
      return std::make_unique<detail::SampledAcquisition>(
          std::move(objectives), detail::log_excess(one ? threshold() : kNothing),
          std::move(constraints), limits_, /*count_running=*/true);
    }
    auto boxes = open_boxes(objectives, constraints);
    if (!alone || constraints_.empty()) {
      return std::make_unique<detail::SampledAcquisition>(
          std::move(objectives), detail::log_hypervolume_improvement(std::move(boxes)),
          std::move(constraints), limits_, /*count_running=*/false);
    }
    std::vector<std::unique_ptr<Acquisition>> terms;
    terms.push_back(analytic(kNothing));
    terms.push_back(std::make_unique<detail::SampledAcquisition>(
        std::move(objectives), detail::log_hypervolume_improvement(std::move(boxes)),
        std::vector<detail::Fantasies>{}, std::vector<double>{}, /*count_running=*/false));
    return std::make_unique<detail::SumOfAcquisitions>(std::move(terms));
  }

  std::unique_ptr<Acquisition> analytic(double threshold) const {
    std::vector<Target> constraints;
    for (size_t c = 0; c < limits_.size(); ++c) {
      constraints.push_back({&constraints_[c], limits_[c]});
    }
    return std::make_unique<detail::LogImprovement>(Target{&objectives_[0], threshold},
                                                    std::move(constraints));
  }

  /// The best feasible value of the first objective, standardised.
  double threshold() const {
    double best = kNothing;
    for (const size_t i : feasible_) best = std::max(best, -losses_[i][0]);
    return best;
  }

  /// Models number `first` on take their columns of `normals`.
  std::vector<detail::Fantasies> fantasies(const std::vector<GaussianProcess>& models,
                                           const MatrixXd& normals, size_t first) const {
    std::vector<detail::Fantasies> all;
    const Index width = running_.rows() + 1;
    for (const GaussianProcess& model : models) {
      all.emplace_back(model, running_,
                       normals.middleCols(static_cast<Index>(first++) * width, width));
    }
    return all;
  }

  /// What is not dominated yet, for each sample if there are running trials: of those, the samples
  /// that hold the constraints count as observed.
  std::vector<std::vector<detail::Box>> open_boxes(
      const std::vector<detail::Fantasies>& objectives,
      const std::vector<detail::Fantasies>& constraints) const {
    Losses observed;
    for (const size_t i : feasible_) observed.push_back(losses_[i]);
    const std::vector<double> reference = reference_point(observed);
    std::vector<std::vector<detail::Box>> boxes;
    for (Index s = 0; s < (running_.rows() == 0 ? 1 : kSamples); ++s) {
      Losses rows = observed;
      for (Index r = 0; r < running_.rows(); ++r) {
        bool holds = true;
        for (size_t c = 0; c < constraints.size(); ++c) {
          holds = holds && constraints[c].at_running()(s, r) >= limits_[c];
        }
        if (!holds) continue;
        rows.emplace_back();
        for (const auto& f : objectives) rows.back().push_back(-f.at_running()(s, r));
      }
      boxes.push_back(detail::open_boxes(rows, reference));
    }
    return boxes;
  }

  VectorXd lengths() const {
    VectorXd sum = VectorXd::Zero(x_.cols());
    for (const GaussianProcess& model : objectives_) {
      sum += model.params().inverse_squared_lengths.cwiseSqrt().cwiseInverse();
    }
    return sum / static_cast<double>(objectives_.size());
  }

  const StudyView& study_;
  const SearchSpace& space_;
  const std::vector<TrialPtr> complete_;
  detail::RandomState& random_;
  std::vector<bool> categorical_;
  MatrixXd x_, running_;
  std::vector<GaussianProcess> objectives_, constraints_;
  std::vector<double> limits_;    // of the constraints' models
  Losses losses_;                 // of the complete trials, standardised
  std::vector<size_t> feasible_;  // complete trials
};

class GpSampler final : public detail::JointSampler {
 public:
  GpSampler(const GpOptions& options, uint64_t seed) : JointSampler(seed), options_(options) {}

  Suggestion sample_relative(const StudyView& study, Trial& trial) override {
    const SearchSpace space = intersection_space(study, /*fixed_ranges=*/true);
    if (space.empty()) return {};
    std::vector<TrialPtr> complete;
    for (const TrialPtr& t : study.trials) {
      if (t->state == TrialState::kComplete && !detail::values_of(space, *t).empty()) {
        complete.push_back(t);
      }
    }
    if (static_cast<int64_t>(complete.size()) < options_.startup_trials) {
      return options_.sobol_startup ? spread(study, trial, space) : Suggestion{};
    }
    return Proposal(study, trial, space, kept(std::move(complete), study), random_).best(may_try);
  }

 private:
  /// The trial's own point of a sequence that all workers of the study share.
  Suggestion spread(const StudyView& study, const Trial& trial, const SearchSpace& space) const {
    const std::vector<double> point =
        detail::Sobol(space.size(), hash64(study.name) >> 32).point(trial.number);
    return detail::from_cube(space, Eigen::Map<const VectorXd>(point.data(), point.size()));
  }

  /// At most max_observations of them: the best half of that, then the newest.
  std::vector<TrialPtr> kept(std::vector<TrialPtr> complete, const StudyView& study) const {
    const size_t most = options_.max_observations;
    if (complete.size() <= most) return complete;
    Losses rows;
    for (const TrialPtr& t : complete) rows.push_back(losses(*t, study.directions));
    std::vector<bool> keep(complete.size());
    for (const size_t i : best_rows(rows, most / 2)) keep[i] = true;
    size_t left = most - most / 2;
    for (size_t i = complete.size(); i-- > 0 && left > 0;) {
      left -= !keep[i];
      keep[i] = true;
    }
    std::vector<TrialPtr> few;
    for (size_t i = 0; i < keep.size(); ++i) {
      if (keep[i]) few.push_back(std::move(complete[i]));
    }
    return few;
  }

  GpOptions options_;
};

}  // namespace

std::unique_ptr<Sampler> make_gp_sampler(const GpOptions& options, uint64_t seed) {
  return std::make_unique<GpSampler>(options, seed);
}

}  // namespace hone::tune
