/// Points of search spaces as vectors: what model-based samplers compute in.
#pragma once
#include <Eigen/Core>

#include "hone/tune/samplers/sampler.h"

namespace hone::tune::detail {

/// Each parameter of the space, in the order of names, through to_unit().
Eigen::VectorXd to_cube(const SearchSpace& space, const Suggestion& values);
/// Back to the values nearest to a point, within the bounds.
Suggestion from_cube(const SearchSpace& space, const Eigen::VectorXd& point);

/// The trial's values of the space's parameters; {} unless it has all, each in its distribution.
Suggestion values_of(const SearchSpace& space, const Trial& trial);

}  // namespace hone::tune::detail
