/// The volume that a set of trials dominates, and subsets that dominate much of it.
///
/// Equal to Optuna 5.0's own functions: volumes to 1e-12, the same rows in the same order
/// (tests/interop/tune_pareto.py).
#pragma once
#include <cstddef>
#include <vector>

#include "hone/tune/pareto.h"

namespace hone::tune {

/// The volume between the rows and the reference point, which none may exceed in any column.
/// Infinite if the reference point or a row is. Sweep over two columns, O(n^2) for three, WFG
/// (While, Bradstreet, Barone 2012) for more.
/// Throws: Error if a row exceeds the reference point or is of another width.
double hypervolume(const Losses& losses, const std::vector<double>& reference);

/// MOTPE's point: 10 % beyond the worst of each column.
std::vector<double> reference_point(const Losses& losses);

/// `count` rows chosen one by one, each for what it adds to the hypervolume; all rows in their
/// order if `count` is their number. Rows that repeat others are taken last, by index. Throws:
/// Error if there are fewer than `count` rows.
std::vector<size_t> hypervolume_subset(const Losses& losses, size_t count,
                                       const std::vector<double>& reference);

/// The `count` best rows, ascending: whole domination ranks and, of the rank that does not fit
/// whole, the hypervolume_subset at its own reference_point. This is MOTPE's split.
std::vector<size_t> best_rows(const Losses& losses, size_t count);

}  // namespace hone::tune
