#include "hone/tune/importance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <optional>
#include <set>

#include "hone/core/error.h"
#include "hone/tune/pareto.h"
#include "hone/tune/samplers/hypervolume.h"

namespace hone::tune {
namespace {

using Trials = std::vector<TrialPtr>;

constexpr int64_t kCells = 50;
constexpr double kPriorWeight = 1;
constexpr size_t kFewestInRegime = 2;

double normal_mass(double a, double b) {
  const auto tail = [](double z) { return 0.5 * std::erfc(z / std::numbers::sqrt2); };
  if (a > 0) return tail(a) - tail(b);
  if (b < 0) return tail(-b) - tail(-a);
  return 1 - tail(-a) - tail(b);
}

/// The cells of a numeric parameter's range, and the one that a value falls into.
class Grid {
 public:
  Grid(double low, double high, bool log, std::optional<double> step, bool integer) : log_(log) {
    if (integer && log) {
      size_ = std::min(
          static_cast<int64_t>(std::ceil(std::log(high - low + 1) / std::log(2.0))) + 1, kCells);
    } else if (step) {
      size_ = std::min(static_cast<int64_t>(std::nearbyint((high - low) / *step)) + 1, kCells);
    }
    low_ = scaled(low);
    cell_ = (scaled(high) - low_) / static_cast<double>(size_ - 1);
  }
  int64_t size() const { return size_; }
  size_t cell(double value) const {
    const double at = std::ceil((scaled(value) - low_) / cell_ - 0.5);
    return at > 0 ? static_cast<size_t>(std::min(at, static_cast<double>(size_ - 1))) : 0;
  }

 private:
  double scaled(double value) const { return log_ ? std::log(value) : value; }
  bool log_;
  int64_t size_ = kCells;
  double low_ = 0, cell_ = 1;
};

std::vector<double> counts_of(const Distribution& distribution, const std::string& name,
                              const Trials& trials) {
  std::vector<double> counts;
  const auto fill = [&](size_t size, const auto& cell) {
    counts.assign(size, 0.0);
    for (const TrialPtr& trial : trials) ++counts.at(cell(trial->param(name)->value));
  };
  const auto fill_grid = [&](const Grid& grid) {
    fill(static_cast<size_t>(grid.size()), [&grid](double value) { return grid.cell(value); });
  };
  if (const auto* d = std::get_if<CategoricalDistribution>(&distribution)) {
    fill(d->choices.size(), [](double value) { return static_cast<size_t>(value); });
  } else if (const auto* d = std::get_if<IntDistribution>(&distribution)) {
    fill_grid(Grid(static_cast<double>(d->low), static_cast<double>(d->high), d->log,
                   static_cast<double>(d->step), true));
  } else {
    const auto& f = std::get<FloatDistribution>(distribution);
    fill_grid(Grid(f.low, f.high, f.log, f.step, false));
  }
  return counts;
}

/// One width for all kernels, by Scott's rule on the counts; at least such that a cell holds nine
/// tenths of its own kernel.
double scott_width(const std::vector<double>& counts) {
  const double n = std::accumulate(counts.begin(), counts.end(), 0.0);
  double mean = 0, square = 0, sum = 0;
  std::optional<double> first_quarter, third_quarter;
  double last = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const auto at = static_cast<double>(i);
    mean += at * counts[i] / n;
    if (counts[i] == 0) continue;
    sum += counts[i];
    last = at;
    if (!first_quarter && sum >= std::floor(n / 4)) first_quarter = at;
    if (!third_quarter && sum > std::floor(n * 3 / 4)) third_quarter = at;
  }
  for (size_t i = 0; i < counts.size(); ++i) {
    square += std::pow(static_cast<double>(i) - mean, 2) * counts[i];
  }
  const double deviation = std::sqrt(square / std::max(1.0, n - 1));
  const double range = third_quarter.value_or(last) - first_quarter.value_or(0);
  return std::max(1.059 * std::min(range / 1.34, deviation) * std::pow(n, -0.2), 0.5 / 1.64);
}

/// Density on the cells of a mixture of one kernel for each occupied cell and an even prior.
std::vector<double> density_on_grid(const std::vector<double>& counts, bool categorical) {
  const auto cells = static_cast<double>(counts.size());
  const double total = std::accumulate(counts.begin(), counts.end(), kPriorWeight);
  const auto occupied = static_cast<double>(
      std::count_if(counts.begin(), counts.end(), [](double n) { return n > 0; }));
  std::vector<double> density(counts.size(), 0.0);
  const auto add_normal = [&](double mean, double width, double weight) {
    const double whole = normal_mass((-0.5 - mean) / width, (cells - 0.5 - mean) / width);
    for (size_t i = 0; i < counts.size(); ++i) {
      const double x = static_cast<double>(i) - mean;
      density[i] += weight / total * normal_mass((x - 0.5) / width, (x + 0.5) / width) / whole;
    }
  };
  const double width = categorical ? 0 : scott_width(counts);
  const double spread = kPriorWeight / (occupied + 1);  // that a choice's kernel gives every choice
  for (size_t k = 0; k < counts.size(); ++k) {
    if (counts[k] == 0) continue;
    if (!categorical) {
      add_normal(static_cast<double>(k), width, counts[k]);
      continue;
    }
    for (size_t i = 0; i < counts.size(); ++i) {
      density[i] += counts[k] / total * (spread + (i == k)) / (1 + spread * cells);
    }
  }
  if (categorical) {
    for (double& d : density) d += kPriorWeight / total / cells;
  } else {
    add_normal((cells - 1) / 2, cells, kPriorWeight);
  }
  return density;
}

double divergence(const std::string& name, const Distribution& distribution, const Trials& good,
                  const Trials& all, bool local) {
  constexpr double kNotZero = 1e-12;
  const bool categorical = std::holds_alternative<CategoricalDistribution>(distribution);
  const auto top = density_on_grid(counts_of(distribution, name, good), categorical);
  std::vector<double> base(top.size(), 1 / static_cast<double>(top.size()) - kNotZero);
  if (local) base = density_on_grid(counts_of(distribution, name, all), categorical);
  double sum = 0;
  for (size_t i = 0; i < top.size(); ++i) {
    const double p = base[i] + kNotZero;
    sum += p * std::pow((top[i] + kNotZero) / p - 1, 2);
  }
  return sum;
}

Trials with_finite_values(const StudyView& study) {
  Trials kept;
  for (const TrialPtr& trial : study.trials) {
    if (trial->state == TrialState::kComplete && trial->values.size() == study.directions.size() &&
        std::all_of(trial->values.begin(), trial->values.end(),
                    [](double value) { return std::isfinite(value); })) {
      kept.push_back(trial);
    }
  }
  return kept;
}

/// The best share of the trials; of one objective with all that equal the last of them.
Trials best_of(const StudyView& study, const Trials& trials, double quantile) {
  if (quantile == 1) return trials;
  Losses rows;
  for (const TrialPtr& trial : trials) rows.push_back(losses(*trial, study.directions));
  const auto count = static_cast<size_t>(std::ceil(quantile * static_cast<double>(trials.size())));
  Trials best;
  if (study.directions.size() > 1) {
    for (const size_t i : best_rows(rows, count)) best.push_back(trials[i]);
    return best;
  }
  Losses sorted = rows;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < trials.size(); ++i) {
    if (rows[i] <= sorted[count - 1]) best.push_back(trials[i]);
  }
  return best;
}

/// Trials by the parameter's distribution; those without it in one of their own.
std::vector<Trials> regimes_of(const std::string& name, const Trials& trials) {
  std::vector<std::pair<std::optional<Distribution>, Trials>> regimes;
  for (const TrialPtr& trial : trials) {
    const Param* param = trial->param(name);
    const auto key = param ? std::optional(param->distribution) : std::nullopt;
    auto found = std::find_if(regimes.begin(), regimes.end(),
                              [&key](const auto& regime) { return regime.first == key; });
    if (found == regimes.end()) found = regimes.insert(found, {key, {}});
    found->second.push_back(trial);
  }
  std::vector<Trials> kept;
  for (auto& [key, members] : regimes) {
    if (key && members.size() >= kFewestInRegime && !single(*key)) kept.push_back(members);
  }
  return kept;
}

double importance_of(const std::string& name, const Trials& good, const Trials& all, bool local) {
  const std::set<TrialPtr> is_good(good.begin(), good.end());
  const auto share = [](const Trials& part, const Trials& whole) {
    return static_cast<double>(part.size()) / static_cast<double>(whole.size());
  };
  double sum = 0;
  for (const Trials& members : regimes_of(name, all)) {
    Trials good_members;
    for (const TrialPtr& trial : members) {
      if (is_good.contains(trial)) good_members.push_back(trial);
    }
    if (good_members.empty()) continue;
    const double among_good = share(good_members, good);
    sum += among_good * among_good / share(members, all) *
           divergence(name, members[0]->param(name)->distribution, good_members, members, local);
  }
  return sum * std::pow(share(good, all), 2);
}

}  // namespace

std::vector<std::pair<std::string, double>> importances(const StudyView& study,
                                                        const ImportanceOptions& options) {
  const double target = options.target_quantile, region = options.region_quantile;
  if (!(0 < target && target < region && region <= 1)) {
    throw Error(
        fmt::format("importances need 0 < target_quantile < region_quantile <= 1, got {} "
                    "and {}",
                    target, region));
  }
  std::set<std::string> names;
  for (const TrialPtr& trial : study.trials) {
    if (trial->state != TrialState::kComplete) continue;
    for (const Param& param : trial->params) names.insert(param.name);
  }
  const Trials trials = with_finite_values(study);
  const Trials good = best_of(study, trials, trials.empty() ? 1 : target);
  const Trials all = best_of(study, trials, trials.empty() ? 1 : region);
  std::vector<std::pair<std::string, double>> result;
  double sum = 0;
  for (const std::string& name : names) {
    const double importance =
        trials.size() < 2 ? 0 : importance_of(name, good, all, options.evaluate_on_local);
    result.emplace_back(name, importance);
    sum += importance;
  }
  for (auto& [name, importance] : result) {
    if (!options.normalize) break;
    importance = sum == 0 ? 1 / static_cast<double>(result.size()) : importance / sum;
  }
  std::sort(result.begin(), result.end(), [](const auto& a, const auto& b) {
    return a.second > b.second || (a.second == b.second && a.first < b.first);
  });
  return result;
}

}  // namespace hone::tune
