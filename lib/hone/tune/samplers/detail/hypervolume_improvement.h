/// What a point adds to the volume that a front dominates.
#pragma once
#include <Eigen/Core>
#include <vector>

#include "hone/tune/pareto.h"
#include "hone/tune/samplers/detail/sampled_acquisition.h"

namespace hone::tune::detail {

/// Of losses: lower [m] < upper [m]; lower entries may be -infinity.
struct Box {
  Eigen::VectorXd lower, upper;
};

/// Disjoint boxes that together are the points better than `reference` [m] in every loss and not
/// dominated by any of `losses`, whose dominated rows and those beyond the reference do no harm.
/// O(n^(m-1)) boxes of n rows on the front, by slices along the last loss.
std::vector<Box> open_boxes(const Losses& losses, const std::vector<double>& reference);

/// log of the hypervolume that objective values y = -losses add, of which each box's edge is at
/// least 1e-12. Sample s sees boxes[s], all of them boxes[0] if there is one list only.
LogUtility log_hypervolume_improvement(std::vector<std::vector<Box>> boxes);

}  // namespace hone::tune::detail
