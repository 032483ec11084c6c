/// Small random models for the tests of Bayesian optimisation.
#pragma once
#include <catch2/catch.hpp>
#include <cmath>

#include "hone/core/random.h"
#include "hone/tune/samplers/detail/acquisition.h"

namespace hone::tune::detail {

/// Two continuous axes and one of three choices.
inline Eigen::VectorXd random_point(Random& random) {
  return Eigen::Vector3d(random.uniform(), random.uniform(), static_cast<double>(random.below(3)));
}

inline GaussianProcess sample_process(int n, uint64_t seed) {
  Random random(seed);
  Eigen::MatrixXd x(n, 3);
  Eigen::VectorXd y(n);
  for (int i = 0; i < n; ++i) {
    x.row(i) = random_point(random);
    y[i] = std::sin(5 * x(i, 0)) + x(i, 1) * x(i, 2) - 1 + 0.1 * random.uniform();
  }
  GaussianProcess process(x, y, {false, false, true});
  process.set({Eigen::Vector3d(2.0, 0.7, 0.4), 1.3, 0.01});
  return process;
}

/// Compares the gradient by the continuous axes with central differences, whose error at this step
/// is about 1e-8 of the value's scale.
inline void check_gradient(const Acquisition& acquisition, const Eigen::VectorXd& point) {
  constexpr double kStep = 1e-6;
  Eigen::VectorXd gradient, ignored;
  const double value = acquisition.value(point, &gradient);
  CHECK(value == Approx(acquisition.value(point, nullptr)).epsilon(1e-12));
  for (int k = 0; k < 2; ++k) {
    Eigen::VectorXd above = point, below = point;
    above[k] += kStep, below[k] -= kStep;
    const double difference =
        (acquisition.value(above, nullptr) - acquisition.value(below, nullptr)) / (2 * kStep);
    CAPTURE(k, point.transpose());
    CHECK(gradient[k] == Approx(difference).epsilon(1e-5).margin(1e-6));
  }
}

}  // namespace hone::tune::detail
