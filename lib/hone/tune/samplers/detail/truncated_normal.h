/// The standard normal distribution between two limits, exact in the tails.
#pragma once

namespace hone::tune::detail {

/// log(sqrt(2 pi)).
inline constexpr double kLogSqrt2Pi = 0.91893853320467274178;

/// log of the normal distribution function.
double log_ndtr(double x);
/// log of the probability of [a, b], a < b.
double log_gauss_mass(double a, double b);
/// The x of [a, b] below which the share q of the distribution's mass in [a, b] lies, q in [0, 1].
/// Parity: Optuna's _truncnorm.ppf to 1e-12, scipy.stats.truncnorm.ppf to 1e-9
///   (tests/tune/truncated_normal_test.cpp).
double truncated_normal_ppf(double q, double a, double b);

}  // namespace hone::tune::detail
