#include "hone/tune/samplers/detail/gp_optimise.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "hone/tune/detail/minimise.h"
#include "hone/tune/samplers/detail/sobol.h"
#include "hone/tune/samplers/detail/transform.h"
#include "hone/tune/samplers/detail/unit_cube.h"

namespace hone::tune::detail {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr Index kCandidates = 2048;
constexpr size_t kStarts = 40;
constexpr int kRounds = 100;            // of a local search
constexpr int64_t kAtOnce = 16;         // values of a numeric discrete axis tried at once
constexpr double kTolerance = 1e-2;     // of the gradient on axes scaled by their lengths
constexpr int kContinuousRounds = 200;  // of L-BFGS-B
constexpr int kHalvings = 6;            // on the way back to points that may be tried

struct Start {
  VectorXd point;
  double value;
};

/// Which of a discrete distribution's values lies at `unit`.
int64_t index_of(const Distribution& d, double unit) {
  const double step = num_choices(d) ? 1 : step_of(d);
  return std::llround((from_unit(d, unit) - value_at(d, 0)) / step);
}

class LocalSearch {
 public:
  explicit LocalSearch(const Maximisation& problem) : p_(problem) {
    for (const auto& [name, distribution] : p_.space) {
      const Index axis = static_cast<Index>(axes_.size());
      axes_.push_back(&distribution);
      (cardinality(distribution) ? discrete_ : continuous_).push_back(axis);
    }
  }

  Start run(Start at) const {
    Index last_changed = -1;  // -1: continuous axes
    for (int round = 0; round < kRounds; ++round) {
      if (ascend(at)) last_changed = -1;
      for (const Index axis : discrete_) {
        if (last_changed == axis) return at;
        if (search_axis(at, axis)) last_changed = axis;
      }
      if (last_changed == -1) return at;
    }
    return at;
  }

 private:
  bool allowed(const VectorXd& point) const {
    return !p_.may_try || p_.may_try(from_cube(p_.space, point));
  }

  bool ascend(Start& at) const {
    if (continuous_.empty()) return false;
    const Index n = static_cast<Index>(continuous_.size());
    const VectorXd lengths = p_.lengths(continuous_);
    const auto unscaled = [&](const VectorXd& scaled) {
      return scaled.cwiseProduct(lengths).cwiseMax(0).cwiseMin(1).eval();
    };
    VectorXd point = at.point, full_gradient;
    const auto function = [&](const VectorXd& scaled, VectorXd& gradient) {
      point(continuous_) = unscaled(scaled);
      const double value = p_.acquisition.value(point, &full_gradient);
      gradient = -full_gradient(continuous_).cwiseProduct(lengths);
      return -value;
    };
    const Minimum found =
        minimise(function, at.point(continuous_).cwiseQuotient(lengths), VectorXd::Zero(n),
                 lengths.cwiseInverse(), kTolerance, kContinuousRounds);
    if (!(-found.value > at.value)) return false;
    VectorXd end = at.point;
    end(continuous_) = unscaled(found.x);
    double value = -found.value;
    for (int i = 0; !allowed(end); ++i) {
      if (i == kHalvings) return false;
      end = (end + at.point) / 2;
      value = p_.acquisition.value(end, nullptr);
    }
    if (!(value > at.value)) return false;
    at = {end, value};
    return true;
  }

  /// All values of the axis, or 16 at equal distances, then closer ones around the best of them.
  bool search_axis(Start& at, Index axis) const {
    const Distribution& d = *axes_[axis];
    const int64_t last = *cardinality(d) - 1;
    int64_t from = 0, to = last, here = index_of(d, at.point[axis]);
    bool moved = false;
    while (true) {
      const int64_t gap = num_choices(d) ? 1 : (to - from) / kAtOnce + 1;
      for (int64_t k = from; k <= to; k += gap) {
        if (k == here) continue;
        Start tried = at;
        tried.point[axis] = to_unit(d, value_at(d, k));
        tried.value = p_.acquisition.value(tried.point, nullptr);
        if (tried.value > at.value && allowed(tried.point)) at = tried, here = k, moved = true;
      }
      if (gap == 1) return moved;
      from = std::max<int64_t>(0, here - gap + 1);
      to = std::min(last, here + gap - 1);
    }
  }

  const Maximisation& p_;
  std::vector<const Distribution*> axes_;
  std::vector<Index> continuous_, discrete_;
};

/// Points [m, d] that may be tried, or all if none may.
MatrixXd candidates(const Maximisation& p, RandomState& random) {
  const Index d = static_cast<Index>(p.space.size());
  const Sobol sobol(p.space.size(), random.integer(0, int64_t{1} << 31));
  const std::vector<double> drawn = sobol.points(kCandidates);
  MatrixXd all(kCandidates, d);
  std::vector<Index> allowed;
  for (Index i = 0; i < kCandidates; ++i) {
    Index k = 0;
    for (const auto& [name, distribution] : p.space) {
      const double at = drawn[i * d + k];
      all(i, k++) =
          cardinality(distribution) ? to_unit(distribution, from_unit(distribution, at)) : at;
    }
    if (!p.may_try || p.may_try(from_cube(p.space, all.row(i)))) allowed.push_back(i);
  }
  return allowed.empty() ? all : MatrixXd(all(allowed, Eigen::all));
}

/// `count` different rows with weights exp(value - best), without the best itself.
std::vector<Index> roulette(const VectorXd& values, Index best, size_t count, RandomState& random) {
  std::vector<double> weights(values.size());
  for (Index i = 0; i < values.size(); ++i) weights[i] = std::exp(values[i] - values[best]);
  weights[best] = 0;
  std::vector<Index> picked;
  while (picked.size() < count) {
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    if (!(total > 0)) break;
    double left = random.uniform() * total;
    size_t i = 0;
    while (i + 1 < weights.size() && (left -= weights[i]) >= 0) ++i;
    if (weights[i] > 0) picked.push_back(static_cast<Index>(i));
    weights[i] = 0;
  }
  return picked;
}

}  // namespace

VectorXd optimise(const Maximisation& problem, RandomState& random) {
  const MatrixXd points = candidates(problem, random);
  const VectorXd values = problem.acquisition.values(points);
  Index best = 0;
  values.maxCoeff(&best);
  std::vector<Start> starts = {{points.row(best), values[best]}};
  for (const VectorXd& point : problem.known) {
    if (problem.may_try && !problem.may_try(from_cube(problem.space, point))) continue;
    starts.push_back({point, problem.acquisition.value(point, nullptr)});
  }
  const size_t drawn = kStarts - std::min(kStarts, starts.size());
  for (const Index i : roulette(values, best, drawn, random)) {
    starts.push_back({points.row(i), values[i]});
  }
  const LocalSearch search(problem);
  Start top = starts.front();
  for (const Start& start : starts) {
    const Start end = search.run(start);
    if (end.value > top.value) top = end;
  }
  return top.point;
}

}  // namespace hone::tune::detail
