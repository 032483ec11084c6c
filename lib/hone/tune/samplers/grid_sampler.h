/// Exhaustive search.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/tune/samplers/sampler.h"

namespace hone::tune {

/// The values that each parameter takes, as people see them.
using Grid = std::map<std::string, std::vector<Json>>;

/// A grid of the distributions' values: all of a discrete one; `points` of a continuous one, evenly
/// spread with both ends (in the logarithm where log).
/// Throws: Error if `points` < 1, or if the grid has more than 10^7 points.
Grid grid_of(const SearchSpace& space, int64_t points);

/// Every point of the grid, in lexicographic order of parameter names and positions of values.
/// Throws: Error for a parameter without values, or more than 10^7 points.
std::vector<std::map<std::string, Json>> grid_points(const Grid& grid);

/// Visits every point of a grid once, in an order that the seed shuffles. Trial n takes point n of
/// that order; later trials and those after a retry one of the points not yet visited. The point is
/// recorded in the trial's system attributes grid_id and search_space.
/// Parity: Optuna's GridSampler(grid, seed), which continues such a study
///   (tests/interop/tune_samplers.py).
/// Throws: as grid_points(); from sample_independent() Error if the parameter is not in the grid,
///   its value not in the distribution, or the trial is an enqueued one that lacks it.
std::unique_ptr<Sampler> make_grid_sampler(Grid grid, uint64_t seed);

}  // namespace hone::tune
