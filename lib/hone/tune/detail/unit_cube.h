/// Search spaces as cubes: what model-based samplers compute in.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hone/tune/sampler.h"

namespace hone::tune::detail {

/// One parameter as an axis. A numeric one maps to [0, 1], evenly in the logarithm if log; a grid
/// is widened by half a step at both ends, so that each of its values owns an equal share (in the
/// logarithm: the share that rounds to it). A categorical one stays the index of its choice.
class Axis {
 public:
  explicit Axis(const Distribution& distribution);

  bool categorical() const { return categorical_; }
  /// Number of values; 0 for a continuous axis.
  int64_t count() const { return count_; }
  /// The k-th value of a discrete axis, 0 <= k < count(), on the axis.
  double at(int64_t k) const;

  double to_axis(double internal) const;
  /// The internal value nearest to the point, within the bounds.
  double from_axis(double x) const;
  /// The point of the axis' own values nearest to x.
  double snap(double x) const { return count_ == 0 ? x : to_axis(from_axis(x)); }
  /// From [0, 1): each value equally often, as far as the axis' scale allows.
  double spread(double u) const;

 private:
  bool categorical_ = false, log_ = false;
  double low_ = 0, high_ = 0, step_ = 0;  // of the internal value; step 0: continuous
  double from_ = 0, to_ = 1;              // ends of [0, 1], widened and in the logarithm
  int64_t count_ = 0;
};

/// The axes of a space, in the order of the names.
class UnitCube {
 public:
  explicit UnitCube(const SearchSpace& space);

  size_t size() const { return axes_.size(); }
  const Axis& axis(size_t i) const { return axes_[i]; }

  /// Whether the trial has all parameters, each in its distribution.
  bool holds(const Trial& trial) const;
  std::vector<double> to_cube(const Suggestion& values) const;
  Suggestion from_cube(const double* x) const;

 private:
  SearchSpace space_;
  std::vector<Axis> axes_;
};

/// The trial's values of the parameters of `space`. Requires that it has them.
Suggestion values_of(const SearchSpace& space, const Trial& trial);

}  // namespace hone::tune::detail
