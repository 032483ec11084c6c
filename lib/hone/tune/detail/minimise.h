/// Bounded minimisation that always returns the best point it has seen.
#pragma once
#include <LBFGSB.h>

#include <Eigen/Core>
#include <exception>
#include <functional>
#include <limits>

namespace hone::tune::detail {

struct Minimum {
  Eigen::VectorXd x;
  double value = std::numeric_limits<double>::infinity();
};

/// L-BFGS-B from `start` within [lower, upper] until no entry of the projected gradient exceeds
/// `tolerance`, for `rounds` iterations at most. `function(x, gradient)` returns the value at x.
/// A line search that fails ends it early: near a minimum that is what rounding does. `start` with
/// an infinite value where no value is a number.
inline Minimum minimise(
    const std::function<double(const Eigen::VectorXd&, Eigen::VectorXd&)>& function,
    Eigen::VectorXd start, const Eigen::VectorXd& lower, const Eigen::VectorXd& upper,
    double tolerance, int rounds) {
  Minimum best{start};
  auto remembering = [&](const Eigen::VectorXd& x, Eigen::VectorXd& gradient) {
    const double value = function(x, gradient);
    if (value < best.value) best = {x, value};
    return value;
  };
  LBFGSpp::LBFGSBParam<double> options;
  options.m = 10;
  options.epsilon = tolerance;
  options.epsilon_rel = 0;
  options.delta = 2.2e-9;  // of the value, relative: as scipy's default
  options.max_iterations = rounds;
  double value = 0;
  try {
    LBFGSpp::LBFGSBSolver<double>(options).minimize(remembering, start, value, lower, upper);
  } catch (const std::runtime_error&) {
  } catch (const std::logic_error&) {  // LBFGS++ reports a failed line search as either
  }
  return best;
}

}  // namespace hone::tune::detail
