#include "hone/tune/samplers/detail/truncated_normal.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace hone::tune::detail {
namespace {

constexpr double kSqrt2 = std::numbers::sqrt2;

/// Exact on the left; on the right as exact as 1 - small can be.
double ndtr(double a) {
  const double x = a / kSqrt2;
  if (x < -1 / kSqrt2) return 0.5 * std::erfc(-x);
  if (x < 1 / kSqrt2) return 0.5 + 0.5 * std::erf(x);
  return 1 - 0.5 * std::erfc(x);
}

double ndtr_of_erf(double a) { return 0.5 + 0.5 * std::erf(a / kSqrt2); }

/// log(exp(p) - exp(q)), p > q.
double log_difference(double p, double q) { return p + std::log1p(-std::exp(q - p)); }

double log_sum(double p, double q) {
  if (p == q) return p + std::numbers::ln2;
  return p > q ? p + std::log1p(std::exp(q - p)) : q + std::log1p(std::exp(p - q));
}

/// The inverse of log_ndtr by Newton's method from an asymptote or the logistic approximation.
double inverse_log_ndtr(double y) {
  const bool flipped = y > -1e-2;  // near 0 the complement is the exact one
  const double z = flipped ? std::log(-std::expm1(y)) : y;
  double x = z < -5 ? -std::sqrt(-2 * (z + kLogSqrt2Pi))
                    : -std::numbers::sqrt3 / std::numbers::pi * std::log(std::expm1(-z));
  for (int i = 0; i < 100; ++i) {
    const double log_p = log_ndtr(x);
    const double dx = (log_p - z) * std::exp(log_p + 0.5 * x * x + kLogSqrt2Pi);
    x -= dx;
    if (std::abs(dx) < 1e-8 * std::abs(x)) break;  // squared by the step just made
  }
  return flipped ? -x : x;
}

}  // namespace

double log_ndtr(double a) {
  if (a > 6) return -ndtr(-a);
  if (a > -20) return std::log(ndtr(a));
  // Asymptotic series: 1 - 1/a^2 + 3/a^4 - 15/a^6 ...
  double sum = 1, last = 0, term = 1;
  for (int i = 1; std::abs(last - sum) > std::numeric_limits<double>::epsilon(); ++i) {
    last = sum;
    term *= -(2 * i - 1) / (a * a);
    sum += term;
  }
  return -0.5 * a * a - std::log(-a) - kLogSqrt2Pi + std::log(sum);
}

double log_gauss_mass(double a, double b) {
  if (b <= 0) return log_difference(log_ndtr(b), log_ndtr(a));
  if (a > 0) return log_difference(log_ndtr(-a), log_ndtr(-b));
  return std::log1p(-ndtr_of_erf(a) - ndtr_of_erf(-b));
}

double truncated_normal_ppf(double q, double a, double b) {
  if (q == 0) return a;
  if (q == 1) return b;
  const double mass = log_gauss_mass(a, b);
  if (a < 0) return inverse_log_ndtr(log_sum(log_ndtr(a), std::log(q) + mass));
  return -inverse_log_ndtr(log_sum(log_ndtr(-b), std::log1p(-q) + mass));
}

}  // namespace hone::tune::detail
