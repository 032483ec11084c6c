#include "hone/tune/samplers/detail/sobol.h"

#include <cmath>

#include "hone/core/error.h"
#include "hone/tune/samplers/detail/pcg64.h"
#include "hone/tune/samplers/detail/random_state.h"
#include "support/catch.h"

using namespace hone::tune::detail;

TEST_CASE("The default generator is NumPy's") {
  // numpy.random.default_rng(seed).bit_generator.random_raw(2), NumPy 2.4.6
  Pcg64 zero(0), big(uint64_t{12345} << 32 | 678);
  CHECK(zero.next64() == 11749869230777074271u);
  CHECK(zero.next64() == 4976686463289251617u);
  CHECK(big.next64() == 15204740225103784472u);
}

TEST_CASE("Unscrambled Sobol points are SciPy's") {
  // qmc.Sobol(128, scramble=False).random(1000), SciPy 1.17.1
  const Sobol sobol(128);
  CHECK(sobol.point(0) == std::vector<double>(128, 0.0));
  CHECK(sobol.point(1) == std::vector<double>(128, 0.5));
  const auto point = sobol.point(999);
  CHECK(point[0] == 0.1572265625);
  CHECK(point[63] == 0.6337890625);
  CHECK(point[127] == 0.9814453125);
}

TEST_CASE("Scrambled Sobol points are SciPy's") {
  // qmc.Sobol(40, scramble=True, seed=3).random(8), SciPy 1.17.1
  const Sobol sobol(40, 3);
  CHECK(sobol.point(0)[0] == 0.6994058797135949);
  CHECK(sobol.point(5)[17] == 0.005494583398103714);
  CHECK(sobol.points(8)[7 * 40 + 39] == 0.21639945451170206);
}

TEST_CASE("Scrambled points fill the cube more evenly than random ones") {
  // Squared centred L2 discrepancy (Hickernell 1998).
  const auto discrepancy = [](const std::vector<double>& points, size_t d) {
    const size_t n = points.size() / d;
    double single = 0, pairs = 0;
    for (size_t i = 0; i < n; ++i) {
      double product = 1;
      for (size_t k = 0; k < d; ++k) {
        const double x = std::abs(points[i * d + k] - 0.5);
        product *= 1 + 0.5 * x - 0.5 * x * x;
      }
      single += product;
      for (size_t j = 0; j < n; ++j) {
        product = 1;
        for (size_t k = 0; k < d; ++k) {
          const double x = points[i * d + k], y = points[j * d + k];
          product *= 1 + 0.5 * (std::abs(x - 0.5) + std::abs(y - 0.5) - std::abs(x - y));
        }
        pairs += product;
      }
    }
    return std::pow(13.0 / 12, d) - 2 * single / n + pairs / (n * n);
  };
  for (const uint64_t seed : {0, 1, 2}) {
    const double quasi = discrepancy(Sobol(5, seed).points(256), 5);
    const double random = discrepancy(RandomState(seed).uniforms(256 * 5), 5);
    INFO(quasi << " against " << random);
    CHECK(quasi < random / 5);
  }
}

TEST_CASE("Dimensions and indices beyond the tables are refused") {
  CHECK_THROWS_WITH(Sobol(0), Catch::Contains("1 to 128, got 0"));
  CHECK_THROWS_WITH(Sobol(129), Catch::Contains("got 129"));
  CHECK_THROWS_WITH(Sobol(1).point(uint64_t{1} << 30), Catch::Contains("below 2^30"));
}
