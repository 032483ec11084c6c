/// Which trials are best: of one objective, and of several.
///
/// Equal to Optuna 5.0's own functions (tests/interop/tune_pareto.py). "Losses" are objective
/// values of which less is better: those of maximised objectives are negated.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "hone/tune/trial.h"

namespace hone::tune {

/// One row a trial, one column an objective; no NaN.
using Losses = std::vector<std::vector<double>>;

/// `value` or its negative.
inline double loss(double value, Direction direction) {
  return direction == Direction::kMaximize ? -value : value;
}

/// The trial's row. Throws: Error if it has not one value, other than NaN, for each objective.
std::vector<double> losses(const Trial& trial, const std::vector<Direction>& directions);

/// Whether no recorded constraint is violated.
bool feasible(const Trial& trial);

/// The COMPLETE and feasible trials that have one value, other than NaN, for each objective.
std::vector<TrialPtr> ranked_trials(const StudyView& study);

/// The best of ranked_trials by the first objective, the earliest of equals; null if there is none.
TrialPtr best_trial(const StudyView& study);

/// Whether `a` is at least as good as `b` in every column and better in one.
bool dominates(const std::vector<double>& a, const std::vector<double>& b);

/// Those of ranked_trials that no other dominates, ascending by number; equals all stay.
std::vector<TrialPtr> pareto_front(const StudyView& study);

/// Rank 0 is the front, rank 1 the front of what is left, and so on. Ranking stops once `at_least`
/// distinct rows have theirs: the rest shares the next.
std::vector<int64_t> domination_ranks(const Losses& losses,
                                      std::optional<size_t> at_least = std::nullopt);

/// The same with infeasible rows (violation > 0) behind all others, by violation.
std::vector<int64_t> constrained_ranks(const Losses& losses, const std::vector<double>& violations,
                                       std::optional<size_t> at_least = std::nullopt);

/// NSGA-II's crowding distance of each row: the sum over columns of the distance between its
/// neighbours, as a part of the column's width; infinite at both ends. Columns of one value count
/// nothing. Signs of columns matter among ties only; Optuna passes values, not losses.
std::vector<double> crowding_distances(const std::vector<std::vector<double>>& values);

}  // namespace hone::tune
