/// Where an acquisition function is largest.
#pragma once
#include <Eigen/Core>
#include <functional>
#include <vector>

#include "hone/tune/samplers/detail/acquisition.h"
#include "hone/tune/samplers/detail/random_state.h"
#include "hone/tune/samplers/sampler.h"

namespace hone::tune::detail {

/// What optimise() may change.
struct Maximisation {
  const Acquisition& acquisition;
  const SearchSpace& space;
  Eigen::VectorXd lengths;             ///< [d] scales on which the acquisition changes
  std::vector<Eigen::VectorXd> known;  ///< starts beside the drawn ones: the best points so far
  std::function<bool(const Suggestion&)> may_try;  ///< points to leave out; empty: none
};

/// The best point found: 2048 scrambled Sobol points are valued, and local searches start from the
/// best of them, from `known`, and from others drawn with weight exp(value - best), 40 in all. A
/// local search alternates L-BFGS-B over the continuous axes with a search along each discrete one
/// (every value; above 16, coarse to fine) until a whole round changes nothing, 100 rounds at most.
///
/// Only points that `may_try` allows are started from or moved to. If it refuses all 2048, the best
/// of them is returned.
/// Cost: about 2048 + 1200 evaluations.
/// Source: Optuna's optim_mixed, whose constants these are but for the starts, which are 10 there
/// and miss the largest maximum twice as often; coarse to fine and may_try are ours.
Eigen::VectorXd optimise(const Maximisation& problem, RandomState& random);

}  // namespace hone::tune::detail
