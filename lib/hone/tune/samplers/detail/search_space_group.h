/// Which parameters may be drawn jointly, kept up to date as trials finish.
#pragma once
#include <vector>

#include "hone/tune/samplers/sampler.h"

namespace hone::tune::detail {

/// The intersection of the distributions of trials that come one by one, in any order.
class IntersectionSpace {
 public:
  /// Narrows the space to the parameters that `trial` has with an equal distribution or, unless
  /// `fixed_ranges`, with a compatible one, whose bounds are taken over if its number is higher.
  void add(const Trial& trial, bool fixed_ranges);
  /// The space without single-valued parameters; empty before the first trial.
  SearchSpace space() const;

 private:
  bool any_ = false;
  int64_t newest_ = 0;
  SearchSpace space_;
};

/// A partition of all parameters seen, of which every trial covers each block fully or not at all.
/// The blocks' order is Optuna's, on which its random draws depend.
class SpaceGroup {
 public:
  void add(const Trial& trial);
  /// The blocks that hold more than one point, without single-valued parameters.
  std::vector<SearchSpace> spaces() const;

 private:
  std::vector<SearchSpace> blocks_;
};

}  // namespace hone::tune::detail
