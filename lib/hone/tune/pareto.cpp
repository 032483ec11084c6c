#include "hone/tune/pareto.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "hone/core/error.h"
#include "hone/tune/detail/front.h"
#include "hone/tune/detail/order.h"

namespace hone::tune {
namespace {

bool ranked(const Trial& trial, size_t objectives) {
  return trial.state == TrialState::kComplete && feasible(trial) &&
         trial.values.size() == objectives &&
         std::none_of(trial.values.begin(), trial.values.end(),
                      [](double value) { return std::isnan(value); });
}

size_t width_of(const Losses& losses) {
  const size_t width = losses.empty() ? 1 : losses[0].size();
  for (const auto& row : losses) {
    if (row.size() != width || row.empty()) {
      throw Error(fmt::format("trials must have equally many objectives, got {} and {}", width,
                              row.size()));
    }
  }
  return width;
}

}  // namespace

std::vector<double> losses(const Trial& trial, const std::vector<Direction>& directions) {
  if (trial.values.size() != directions.size()) {
    throw Error(fmt::format("trial {} must have {} values, has {}", trial.number, directions.size(),
                            trial.values.size()));
  }
  std::vector<double> row;
  for (size_t i = 0; i < directions.size(); ++i) {
    if (std::isnan(trial.values[i])) {
      throw Error(fmt::format("value {} of trial {} is NaN", i, trial.number));
    }
    row.push_back(loss(trial.values[i], directions[i]));
  }
  return row;
}

bool feasible(const Trial& trial) { return violation(trial).value_or(0) <= 0; }

std::vector<TrialPtr> ranked_trials(const StudyView& study) {
  std::vector<TrialPtr> kept;
  for (const TrialPtr& trial : study.trials) {
    if (ranked(*trial, study.directions.size())) kept.push_back(trial);
  }
  return kept;
}

TrialPtr best_trial(const StudyView& study) {
  TrialPtr best;
  for (const TrialPtr& trial : ranked_trials(study)) {
    const Direction direction = study.directions[0];
    if (!best || loss(trial->values[0], direction) < loss(best->values[0], direction)) best = trial;
  }
  return best;
}

bool dominates(const std::vector<double>& a, const std::vector<double>& b) {
  width_of({a, b});
  return a != b && std::equal(a.begin(), a.end(), b.begin(), std::less_equal<>());
}

std::vector<TrialPtr> pareto_front(const StudyView& study) {
  const std::vector<TrialPtr> trials = ranked_trials(study);
  Losses rows;
  for (const TrialPtr& trial : trials) rows.push_back(losses(*trial, study.directions));
  const detail::SortedRows sorted = detail::sort_rows(rows, width_of(rows));
  const std::vector<bool> front = detail::front_of_sorted(sorted.rows);
  std::vector<TrialPtr> kept;
  for (size_t i = 0; i < trials.size(); ++i) {
    if (front[sorted.place[i]]) kept.push_back(trials[i]);
  }
  return kept;
}

std::vector<int64_t> domination_ranks(const Losses& losses, std::optional<size_t> at_least) {
  const size_t width = width_of(losses);
  const detail::SortedRows sorted = detail::sort_rows(losses, width);
  const size_t distinct = sorted.first.size();
  const size_t wanted = width == 1 ? distinct : std::min(at_least.value_or(distinct), distinct);
  std::vector<int64_t> ranks(distinct, 0);
  std::vector<size_t> left(distinct);
  std::iota(left.begin(), left.end(), size_t{0});
  int64_t rank = 0;
  if (width == 1) {  // every distinct value is a front of its own
    std::iota(ranks.begin(), ranks.end(), int64_t{0});
    left.clear();
  }
  for (detail::FlatRows rows = sorted.rows; distinct - left.size() < wanted; ++rank) {
    std::vector<bool> front = detail::front_of_sorted(rows);
    std::vector<size_t> behind;
    for (size_t i = 0; i < left.size(); ++i) {
      if (!front[i]) behind.push_back(left[i]);
      ranks[left[i]] = rank;
    }
    left = std::move(behind);
    front.flip();
    rows = detail::marked(rows, front);
  }
  for (const size_t i : left) ranks[i] = rank;
  std::vector<int64_t> result;
  for (const size_t place : sorted.place) result.push_back(ranks[place]);
  return result;
}

std::vector<int64_t> constrained_ranks(const Losses& losses, const std::vector<double>& violations,
                                       std::optional<size_t> at_least) {
  if (violations.size() != losses.size()) {
    throw Error(
        fmt::format("{} trials need as many violations, got {}", losses.size(), violations.size()));
  }
  Losses good, bad;
  for (size_t i = 0; i < losses.size(); ++i) {
    if (violations[i] <= 0) {
      good.push_back(losses[i]);
    } else {
      bad.push_back({violations[i]});
    }
  }
  const size_t wanted = at_least.value_or(losses.size());
  const auto good_ranks = domination_ranks(good, wanted);
  std::vector<int64_t> bad_ranks(bad.size(), 0);
  if (wanted > good.size()) bad_ranks = domination_ranks(bad);
  const int64_t behind =
      good.empty() ? 0 : *std::max_element(good_ranks.begin(), good_ranks.end()) + 1;
  std::vector<int64_t> ranks;
  for (size_t i = 0, next_good = 0, next_bad = 0; i < losses.size(); ++i) {
    ranks.push_back(violations[i] <= 0 ? good_ranks[next_good++] : behind + bad_ranks[next_bad++]);
  }
  return ranks;
}

std::vector<double> crowding_distances(const std::vector<std::vector<double>>& values) {
  const size_t n = values.size(), width = width_of(values);
  std::vector<double> distances(n, 0.0);
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  for (size_t k = 0; n > 0 && k < width; ++k) {
    const auto places = detail::sorted_order(
        n, [&](size_t a, size_t b) { return values[order[a]][k] < values[order[b]][k]; });
    std::vector<size_t> next;
    for (const size_t place : places) next.push_back(order[place]);
    order = std::move(next);
    std::vector<double> sorted{-INFINITY};
    for (const size_t i : order) sorted.push_back(values[i][k]);
    sorted.push_back(INFINITY);
    if (sorted[1] == sorted[n]) continue;
    const double low = *std::find_if(sorted.begin(), sorted.end(),
                                     [](double value) { return value != -INFINITY; });
    const double high = *std::find_if(sorted.rbegin(), sorted.rend(),
                                      [](double value) { return value != INFINITY; });
    const double span = high > low ? high - low : 1;
    for (size_t j = 0; j < n; ++j) {
      if (sorted[j] != sorted[j + 2]) distances[order[j]] += (sorted[j + 2] - sorted[j]) / span;
    }
  }
  return distances;
}

}  // namespace hone::tune
