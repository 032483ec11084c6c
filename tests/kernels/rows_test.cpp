#include "hone/kernels/cpu/rows.h"

#include <torch/types.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "support/catch.h"

namespace hone::kernels {
namespace {

TEST_CASE("exponential is e^x within 2 units in the last place") {
  double worst = 0;
  for (int i = -87'000; i <= 88'000; ++i) {
    const float x = static_cast<float>(i) / 1000;
    const double exact = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::abs(exponential(x) - exact) / exact);
  }
  CHECK(worst < 2.4e-7);  // 2 * 2^-23
  CHECK(exponential(0.0f) == 1);
}

TEST_CASE("exponential at and beyond its range") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float x : {-88.0f, -1000.0f, -kInfinity}) {
    CHECK(exponential(x) >= 0);
    CHECK(exponential(x) < 1.3e-38f);
  }
  for (const float x : {89.0f, 1000.0f, kInfinity}) CHECK(exponential(x) > 2e38f);
  CHECK(std::isnan(exponential(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("rows of any length are summed whole") {
  for (const int64_t count : {0, 1, 31, 32, 33, 64, 100}) {
    CHECK(sum_row<double>(count, [](int64_t i) { return static_cast<double>(i); }) ==
          static_cast<double>(count * (count - 1) / 2));
  }
}

TEST_CASE("the largest of a row is found wherever it stands") {
  for (const int64_t count : {1, 5, 32, 47, 70}) {
    for (int64_t place = 0; place < count; ++place) {
      const auto term = [&](int64_t i) { return i == place ? 2.0f : -1.0f; };
      CHECK(reduce_row<float>(count, term(0), term,
                              [](float a, float b) { return a > b ? a : b; }) == 2.0f);
    }
  }
}

}  // namespace
}  // namespace hone::kernels
