#include "hone/train/controllers/noise_scale.h"

#include <cmath>
#include <random>
#include <vector>

#include "hone/core/error.h"
#include "support/catch.h"

using namespace hone::train;

namespace {

/// Norms of a step of `batches` batches of `size` samples g + noise of variance `variance` in each
/// of 8 coordinates, where |g|^2 = 8 * 0.25.
struct Step {
  double small_squared = 0, big_squared = 0;

  Step(std::mt19937_64& random, int batches, int size, double variance) {
    std::normal_distribution<double> noise(0, std::sqrt(variance / size));
    std::vector<double> mean(8);
    for (int b = 0; b < batches; ++b) {
      for (double& m : mean) {
        const double g = 0.5 + noise(random);
        small_squared += g * g / batches;
        m += g / batches;
      }
    }
    for (const double m : mean) big_squared += m * m;
  }
};

}  // namespace

TEST_CASE("The estimates meet the true gradient and noise") {
  std::mt19937_64 random(3);
  NoiseScale scale(0.9995);
  for (int i = 0; i < 20000; ++i) {
    const Step step(random, 4, 16, 3.0);
    scale.add(step.small_squared, 16, step.big_squared, 64);
  }
  // Means over about 2000 effective steps: 2 % is four standard errors of the trace.
  CHECK(scale.squared_gradient().value() == Approx(2).epsilon(0.02));
  CHECK(scale.trace().value() == Approx(24).epsilon(0.02));
  CHECK(scale.value().value() == Approx(12).epsilon(0.03));
}

TEST_CASE("One step by hand") {
  NoiseScale scale;
  CHECK_FALSE(scale.value());
  scale.add(5, 2, 3, 8);
  CHECK(scale.squared_gradient().value() == Approx((8 * 3.0 - 2 * 5.0) / 6));
  CHECK(scale.trace().value() == Approx(2 / (0.5 - 0.125)));
  CHECK(scale.value().value() == Approx(2 / 0.375 / (14.0 / 6)));
  const hone::Json before = scale.state();
  scale.add(std::nan(""), 2, 3, 8);
  CHECK(scale.state() == before);
}

TEST_CASE("A gradient that drowns in noise has no scale; impossible sizes are refused") {
  NoiseScale none;
  none.add(2, 1, 1, 2);  // an estimate of 0 of the gradient, to the bit
  CHECK(none.squared_gradient().value() == 0);
  CHECK_FALSE(none.value());
  NoiseScale scale;
  scale.add(5, 2, 1, 8);  // |G|^2 < 0
  CHECK_FALSE(scale.value());
  CHECK_THROWS_WITH(scale.add(5, 8, 3, 8), Catch::Contains("0 < small < big, got 8 and 8"));
  CHECK_THROWS_AS(scale.add(5, 0, 3, 8), hone::Error);
}

TEST_CASE("The noise scale restores bit-equal") {
  std::mt19937_64 random(1);
  NoiseScale whole, parts;
  for (int i = 0; i < 30; ++i) {
    const Step step(random, 3, 5, 1.0);
    NoiseScale next;
    next.restore(hone::parse_json(parts.state().dump(), "state"));
    parts = next;
    whole.add(step.small_squared, 5, step.big_squared, 15);
    parts.add(step.small_squared, 5, step.big_squared, 15);
    REQUIRE(whole.value() == parts.value());
  }
}
