#include "hone/tune/samplers/detail/truncated_normal.h"

#include <limits>

#include "support/catch.h"

using namespace hone::tune::detail;

// References: mpmath at 60 digits, from erfc and by bisection; scipy.stats.truncnorm 1.17.1 agrees.

TEST_CASE("The logarithm of the normal distribution function is exact in both tails") {
  const double references[][2] = {{-50, -1254.8313611394199},  {-21, -224.46571583141447},
                                  {-19.9, -201.9171677073326}, {-6, -20.736768949974706},
                                  {-1, -1.8410216450092635},   {0, -0.69314718055994531},
                                  {1, -0.17275377902344989}};
  for (const auto& [x, expected] : references)
    CHECK(log_ndtr(x) == Approx(expected).epsilon(1e-12));
  CHECK(log_ndtr(5.9) == Approx(-1.8175078647510959e-9).epsilon(1e-6));
  CHECK(log_ndtr(7) == Approx(-1.279812543886654e-12).epsilon(1e-12));
}

TEST_CASE("The mass of an interval is exact far from the mean") {
  const double references[][3] = {
      {-1, 2, -0.20016629432446258},   {-3, -2.5, -5.3267647240790622},
      {5, 9, -15.064998393989119},     {-40, -38, -726.55721601882013},
      {8, 8.001, -39.830691311855529}, {-1e-5, 1e-5, -11.738716817631622},
      {37, 39, -689.03058557689059}};
  for (const auto& [a, b, expected] : references) {
    CHECK(log_gauss_mass(a, b) == Approx(expected).epsilon(1e-10));
  }
  CHECK(log_gauss_mass(-30, 30) == 0);
}

TEST_CASE("Quantiles of truncated normals") {
  const double references[][4] = {
      {.5, -1, 2, 0.17116391801782477},     {.001, -3, 3, -2.8272888358711153},
      {.999, -3, 3, 2.8272888358711151},    {.3, 5, 9, 5.0683342630129835},
      {.7, -12, -8, -8.0438016529280543},   {.25, -40, -38, -38.036438771977536},
      {.9, 0, 1e-6, 8.9999999999997148e-7}, {.1, -1e-3, 50, 0.12475426460676522},
      {.6, 25, 60, 25.036566608446592}};
  for (const auto& [q, a, b, expected] : references) {
    CHECK(truncated_normal_ppf(q, a, b) == Approx(expected).epsilon(1e-9));
  }
  CHECK(truncated_normal_ppf(0, -2, 3) == -2);
  CHECK(truncated_normal_ppf(1, -2, 3) == 3);
}
