#include "hone/tune/pruners/wilcoxon_pruner.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "hone/core/checked.h"
#include "hone/tune/detail/order.h"
#include "hone/tune/pareto.h"

namespace hone::tune {
namespace {

/// Twice the ranks (integers, then) of the absolute differences.
struct Ranks {
  std::vector<size_t> doubled;
  bool ties = false;
  double tie_term = 0;  ///< sum of t^3 - t over groups of t equals
};

Ranks ranks_of(const std::vector<double>& d) {
  const size_t n = d.size();
  const auto order =
      detail::sorted_order(n, [&d](size_t a, size_t b) { return std::abs(d[a]) < std::abs(d[b]); });
  Ranks ranks{std::vector<size_t>(n)};
  for (size_t begin = 0, end = 0; begin < n; begin = end) {
    while (end < n && std::abs(d[order[end]]) == std::abs(d[order[begin]])) ++end;
    for (size_t i = begin; i < end; ++i) ranks.doubled[order[i]] = begin + 1 + end;
    const auto t = static_cast<double>(end - begin);
    ranks.ties |= end - begin > 1;
    ranks.tie_term += t * t * t - t;
  }
  return ranks;
}

/// The share of all signs of the ranks whose positive ones sum to `sum` or more.
double exact_tail(const std::vector<size_t>& ranks, size_t sum) {
  std::vector<double> mass{1};  // by the sum of positive ranks so far
  for (const size_t rank : ranks) {
    std::vector<double> next(mass.size() + rank, 0.0);
    for (size_t i = 0; i < mass.size(); ++i) {
      next[i] += 0.5 * mass[i];
      next[i + rank] += 0.5 * mass[i];
    }
    mass = std::move(next);
  }
  double tail = 0;
  for (size_t i = mass.size(); i-- > sum;) tail += mass[i];
  return tail;
}

double mean(const std::map<int64_t, double>& values) {
  double sum = 0;
  for (const auto& [step, value] : values) sum += value;
  return sum / static_cast<double>(values.size());
}

bool all_finite(const std::map<int64_t, double>& values) {
  return std::all_of(values.begin(), values.end(),
                     [](const auto& point) { return std::isfinite(point.second); });
}

}  // namespace

double signed_rank_p(const std::vector<double>& d) {
  constexpr size_t kMostExact = 50, kMostExactWithTies = 13;
  const Ranks ranks = ranks_of(d);
  std::vector<size_t> signed_ranks;
  size_t positive = 0, of_zeros = 0;
  for (size_t i = 0; i < d.size(); ++i) {
    if (d[i] > 0) positive += ranks.doubled[i];
    if (d[i] == 0) of_zeros += ranks.doubled[i];
    if (d[i] != 0) signed_ranks.push_back(ranks.doubled[i]);
  }
  const bool plain = !ranks.ties && of_zeros == 0;
  if (d.size() <= (plain ? kMostExact : kMostExactWithTies)) {
    return exact_tail(signed_ranks, positive);  // the zeros' half is in every sum
  }
  const auto n = static_cast<double>(d.size());
  const double sum = static_cast<double>(positive) / 2 + static_cast<double>(of_zeros) / 4;
  const double variance = (n * (n + 1) * (2 * n + 1) - ranks.tie_term / 2) / 24;
  const double z = (sum - n * (n + 1) / 4) / std::sqrt(variance);
  return 0.5 * std::erfc(z / std::numbers::sqrt2);
}

WilcoxonPruner::WilcoxonPruner(const WilcoxonOptions& options)
    : options_(checked(options, "WilcoxonPruner")) {}

bool WilcoxonPruner::prune(const StudyView& study, Trial& trial) {
  const TrialPtr best = best_trial(study);
  if (!best || trial.intermediate.empty() || best->intermediate.empty()) return false;
  if (!all_finite(trial.intermediate) || !all_finite(best->intermediate)) return false;
  const Direction direction = study.directions[0];
  std::vector<double> differences;
  for (const auto& [step, value] : trial.intermediate) {
    const auto found = best->intermediate.find(step);
    if (found != best->intermediate.end()) {
      differences.push_back(loss(value - found->second, direction));
    }
  }
  const auto common = static_cast<int64_t>(differences.size());
  if (common < std::max<int64_t>(2, options_.n_startup_steps)) return false;
  if (signed_rank_p(differences) >= options_.p_threshold) return false;
  return loss(mean(best->intermediate), direction) < loss(mean(trial.intermediate), direction);
}

}  // namespace hone::tune
