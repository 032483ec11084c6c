#include "hone/tune/samplers/detail/cma_es.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>

#include "hone/core/random.h"

namespace hone::tune::detail {
namespace {

/// A generation of points around the mean, by uniform steps.
std::vector<CmaEs::Solution> generation(const CmaEs& search, Random& random,
                                        double (*function)(const Eigen::VectorXd&)) {
  std::vector<CmaEs::Solution> solutions;
  for (int64_t k = 0; k < search.population(); ++k) {
    Eigen::VectorXd z(search.mean().size());
    for (double& value : z) value = std::sqrt(12) * (random.uniform() - 0.5);
    const Eigen::VectorXd x = search.point(z);
    solutions.push_back({x, function(x)});
  }
  return solutions;
}

double ellipsoid(const Eigen::VectorXd& x) {
  double sum = 0;
  for (int i = 0; i < x.size(); ++i) sum += std::pow(1000.0, i) * (x[i] - 0.3) * (x[i] - 0.3);
  return sum;
}

TEST_CASE("populations follow the tutorial's table") {
  // Hansen, arXiv:1604.00772, equation 48.
  CHECK(CmaEs::default_population(1) == 4);
  CHECK(CmaEs::default_population(2) == 6);
  CHECK(CmaEs::default_population(5) == 8);
  CHECK(CmaEs::default_population(10) == 10);
  CHECK(CmaEs(Eigen::VectorXd::Zero(2), 1, 12).population() == 12);
}

TEST_CASE("an ill-conditioned ellipsoid is minimised and its shape learnt") {
  CmaEs search(Eigen::VectorXd::Constant(3, 0.5), 0.2);
  Random random(1);
  for (int g = 0; g < 200; ++g) search.update(generation(search, random, ellipsoid));
  CHECK(search.generation() == 200);
  CHECK((search.mean().array() - 0.3).abs().maxCoeff() < 1e-6);
  const Eigen::VectorXd spread = search.covariance().diagonal();
  CHECK(spread[0] > 1e4 * spread[2]);  // 1e6 at the optimum of the adaptation
}

TEST_CASE("values by chance neither widen nor narrow the search") {
  constexpr int kRuns = 300;
  Random random(3);
  const auto normal = [&] {
    return std::sqrt(-2 * std::log(1 - random.uniform())) *
           std::cos(2 * std::numbers::pi * random.uniform());
  };
  double widened = 0;
  for (int run = 0; run < kRuns; ++run) {
    CmaEs search(Eigen::VectorXd::Constant(1, 0.5), 0.2);
    for (int g = 0; g < 30; ++g) {
      std::vector<CmaEs::Solution> solutions;
      for (int64_t k = 0; k < search.population(); ++k) {
        solutions.push_back(
            {search.point(Eigen::VectorXd::Constant(1, normal())), random.uniform()});
      }
      search.update(solutions);
    }
    widened += std::log(search.sigma() / 0.2) / kRuns;
  }
  CHECK(std::abs(widened) < 0.5);
}

TEST_CASE("points without any difference leave a distribution to sample from") {
  CmaEs search(Eigen::VectorXd::Constant(4, 0.5), 1.0 / 6);
  for (int g = 0; g < 2000; ++g) {
    search.update(std::vector<CmaEs::Solution>(search.population(), {search.mean(), 1.0}));
  }
  CHECK(search.sigma() > 0);
  CHECK(search.point(Eigen::VectorXd::Ones(4)).allFinite());
}

TEST_CASE("a line of points keeps the covariance's condition bounded") {
  CmaEs search(Eigen::VectorXd::Constant(2, 0.5), 0.3);
  Random random(2);
  for (int g = 0; g < 500; ++g) {
    std::vector<CmaEs::Solution> solutions;
    for (int64_t k = 0; k < search.population(); ++k) {
      Eigen::VectorXd x = search.mean();
      x[0] += search.sigma() * (random.uniform() - 0.5);
      solutions.push_back({x, random.uniform()});
    }
    search.update(solutions);
  }
  CHECK(search.covariance().allFinite());
  CHECK(search.covariance().diagonal().minCoeff() > 0);
  CHECK(search.point(Eigen::VectorXd::Ones(2)).allFinite());
}

}  // namespace
}  // namespace hone::tune::detail
