#include "hone/tune/samplers/detail/gaussian_process.h"

#include "hone/core/error.h"
#include "tune/models.h"

namespace hone::tune::detail {
namespace {

TEST_CASE("the posterior is the textbook's") {
  // By hand: two observations, one axis, scale 1, noise 1e-6, k(0.5 apart) = (1 + r + r^2/3) e^-r
  // at r^2 = 5 / 4.
  Eigen::MatrixXd x(2, 1);
  x << 0, 1;
  GaussianProcess process(x, Eigen::Vector2d(1, 3), {false});
  process.set({Eigen::VectorXd::Ones(1), 1, 1e-6});
  const auto k = [](double distance) {
    const double r = std::sqrt(5.0) * distance;
    return (1 + r + r * r / 3) * std::exp(-r);
  };
  const double a = 1 + 1e-6, b = k(1), c = k(0.5);
  const Prediction at = process.predict(Eigen::VectorXd::Constant(1, 0.5), false);
  CHECK(at.mean == Approx(c * 4 / (a + b)).epsilon(1e-12));
  CHECK(at.variance == Approx(1 - 2 * c * c / (a + b)).epsilon(1e-9));
  const Prediction known = process.predict(Eigen::VectorXd::Constant(1, 1), false);
  CHECK(known.mean == Approx(3).epsilon(1e-5));
  CHECK(known.variance < 2e-6);
}

TEST_CASE("the loss's gradient is its derivative") {
  const GaussianProcess process = sample_process(15, 5);
  Random random(6);
  for (int repeat = 0; repeat < 4; ++repeat) {
    Eigen::VectorXd raw(5), gradient, ignored;
    for (double& r : raw) r = 4 * random.uniform() - 3;
    process.loss(raw, gradient);
    for (int k = 0; k < 5; ++k) {
      Eigen::VectorXd above = raw, below = raw;
      above[k] += 1e-5, below[k] -= 1e-5;
      const double difference =
          (process.loss(above, ignored) - process.loss(below, ignored)) / 2e-5;
      CAPTURE(k);
      CHECK(gradient[k] == Approx(difference).epsilon(1e-6).margin(1e-7));
    }
  }
}

TEST_CASE("the posterior's gradients are its derivatives and many points agree with one") {
  const GaussianProcess process = sample_process(15, 7);
  Random random(8);
  Eigen::MatrixXd points(5, 3);
  for (int i = 0; i < 5; ++i) points.row(i) = random_point(random);
  Eigen::VectorXd mean, variance;
  process.predict(points, mean, variance);
  const Eigen::MatrixXd covariance = process.covariance(points);
  for (int i = 0; i < 5; ++i) {
    const Eigen::VectorXd point = points.row(i);
    const Prediction at = process.predict(point, true);
    CHECK(mean[i] == Approx(at.mean).epsilon(1e-10));
    CHECK(variance[i] == Approx(at.variance).epsilon(1e-8));
    CHECK(covariance(i, i) == Approx(at.variance).epsilon(1e-8));
    for (int k = 0; k < 2; ++k) {
      Eigen::VectorXd above = point, below = point;
      above[k] += 1e-6, below[k] -= 1e-6;
      const Prediction up = process.predict(above, false), down = process.predict(below, false);
      CHECK(at.mean_gradient[k] == Approx((up.mean - down.mean) / 2e-6).margin(1e-6));
      CHECK(at.variance_gradient[k] == Approx((up.variance - down.variance) / 2e-6).margin(1e-6));
    }
    CHECK(at.mean_gradient[2] == 0);
  }
}

TEST_CASE("a fit ends where the gradient ends and tells axes that matter from those that do not") {
  Random random(9);
  Eigen::MatrixXd x(40, 2);
  Eigen::VectorXd y(40);
  for (int i = 0; i < 40; ++i) {
    x(i, 0) = random.uniform(), x(i, 1) = random.uniform();
    y[i] = std::sin(9 * x(i, 0));
  }
  GaussianProcess process(x, y, {false, false});
  process.fit();
  const KernelParams& found = process.params();
  Eigen::VectorXd raw(4), gradient;
  raw << found.inverse_squared_lengths.array().log(), std::log(found.scale),
      std::log(found.noise - GaussianProcess::kLeastNoise);
  process.loss(raw, gradient);
  CHECK(gradient.head(3).cwiseAbs().maxCoeff() < 0.05);
  CHECK(found.inverse_squared_lengths[0] > 10 * found.inverse_squared_lengths[1]);
  CHECK(found.noise < 1e-3);
}

TEST_CASE("repeated points, constant values and one observation are fitted") {
  Eigen::MatrixXd same = Eigen::MatrixXd::Constant(200, 3, 0.25);
  for (const double spread : {0.0, 1.0}) {
    Eigen::VectorXd y = Eigen::VectorXd::LinSpaced(200, -spread, spread);
    GaussianProcess process(same, y, {false, false, true});
    process.fit();
    const Prediction at = process.predict(same.row(0), true);
    CHECK(at.mean == Approx(0).margin(1e-6));
    CHECK(std::isfinite(at.variance));
  }
  GaussianProcess one(same.topRows(1), Eigen::VectorXd::Zero(1), {false, false, true});
  one.fit();
  CHECK(one.predict(same.row(0), true).mean_gradient.allFinite());
}

TEST_CASE("what has no Cholesky factor gets the least diagonal that gives it one") {
  // Rank one: its eigenvalues are 3 and 0, 0.
  const Eigen::MatrixXd ones = Eigen::MatrixXd::Ones(3, 3);
  const Eigen::MatrixXd back = factorise(ones).reconstructedMatrix();
  CHECK((back - ones).cwiseAbs().maxCoeff() < 1e-10);
  Eigen::MatrixXd indefinite = Eigen::MatrixXd::Identity(2, 2);
  indefinite(1, 0) = indefinite(0, 1) = 1.5;
  CHECK(factorise(indefinite).matrixLLT().allFinite());
  CHECK_THROWS_AS(factorise(Eigen::MatrixXd::Constant(2, 2, NAN)), Error);
}

}  // namespace
}  // namespace hone::tune::detail
