#include "hone/tune/samplers/detail/acquisition.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "hone/core/random.h"
#include "tune/models.h"

namespace hone::tune::detail {
namespace {

TEST_CASE("the logarithms of the improvement and of the probability hold far into the tail") {
  // mpmath 1.3, 50 digits: log(z * ncdf(z) + npdf(z)) and log(ncdf(z)).
  const double expected[][3] = {
      {-1000000.0, -500000000028.54999, -500000000014.73444},
      {-1000, -500014.73445209116, -500007.82669481216},
      {-40, -808.29856835661997, -804.6084420137538},
      {-30, -457.72465376059802, -454.32124395634321},
      {-25.5, -332.525884462205, -329.28414898717955},
      {-25, -319.86146358149597, -316.63940800802027},
      {-24.5, -307.4462538577302, -304.24427074096371},
      {-15, -118.84817068411358, -116.13138484571169},
      {-8, -37.122364261692631, -35.013437159914552},
      {-3, -7.8696860596030289, -6.6077262215103492},
      {-1, -2.4851210257126413, -1.8410216450092636},
      {-0.1, -1.047153314072846, -0.77615459273027332},
      {0, -0.91893853320467278, -0.69314718055994529},
      {0.5, -0.3598276837450638, -0.3689464152886564},
      {2, 0.69738354578822837, -0.02301290932896349},
      {6, 1.7917594692541146, -9.865876455243758e-10},
      {10, 2.3025850929940459, -7.6198530241605255e-24},
  };
  for (const auto& [z, improvement, cdf] : expected) {
    CAPTURE(z);
    // Near z = -25 two terms cancel all but 1/z^2 of their digits.
    CHECK(log_expected_excess(z).value == Approx(improvement).epsilon(1e-12));
    CHECK(log_normal_cdf(z).value == Approx(cdf).epsilon(1e-12));
    const double h = 1e-5 * std::max(1.0, std::abs(z));
    for (const auto function : {log_expected_excess, log_normal_cdf}) {
      const double difference = (function(z + h).value - function(z - h).value) / (2 * h);
      CHECK(function(z).derivative == Approx(difference).epsilon(1e-6).margin(1e-9));
    }
  }
}

TEST_CASE("the acquisition's gradient is its derivative") {
  const GaussianProcess objective = sample_process(12, 1), limit = sample_process(12, 2);
  const LogImprovement plain({&objective, 1.0}, {});
  const LogImprovement constrained({&objective, 0.5}, {{&limit, 0.1}, {&objective, -0.3}});
  const LogImprovement only_feasible({&objective, -INFINITY}, {{&limit, 0.1}});
  Random random(3);
  for (const Acquisition* a :
       std::initializer_list<const Acquisition*>{&plain, &constrained, &only_feasible}) {
    for (int repeat = 0; repeat < 5; ++repeat) check_gradient(*a, random_point(random));
  }
}

TEST_CASE("many points are valued as each alone") {
  const GaussianProcess objective = sample_process(12, 1), limit = sample_process(12, 2);
  const LogImprovement constrained({&objective, 0.5}, {{&limit, 0.1}});
  Random random(4);
  Eigen::MatrixXd points(6, 3);
  for (int i = 0; i < 6; ++i) points.row(i) = random_point(random);
  const Eigen::VectorXd values = constrained.values(points);
  for (int i = 0; i < 6; ++i) {
    CHECK(values[i] == Approx(constrained.value(points.row(i), nullptr)).epsilon(1e-9));
  }
}

}  // namespace
}  // namespace hone::tune::detail
