#include "hone/tune/samplers/detail/acquisition.h"

#include <cmath>
#include <numbers>

namespace hone::tune::detail {
namespace {

constexpr double kTail = -25;           // below: asymptotic series
constexpr double kStabilising = 1e-12;  // on variances, so that known points have a gradient

const double kLogSqrt2Pi = 0.5 * std::log(2 * std::numbers::pi);

double log_density(double z) { return -0.5 * z * z - kLogSqrt2Pi; }

/// sum_{k>=0} (-1)^k (2k + first)!! / z^(2k), for |z| >= 25 and first -1 or 1: from the ninth term
/// on below 1e-15 of the first.
double tail_series(double z, int first) {
  double sum = 1, term = 1;
  for (int k = 1; k <= 9; ++k) {
    term *= -(2 * k + first) / (z * z);
    sum += term;
  }
  return sum;
}

/// A term of the sum at a point: how it changes with the model's mean and standard deviation.
struct Term {
  double value, by_mean, by_deviation;
};

Term log_improvement(double mean, double deviation, double threshold) {
  const double z = (mean - threshold) / deviation;
  const Dual excess = log_expected_excess(z);
  // E[max(0, z + e)] = z Phi(z) + density(z), so that density over it is 1 - z derivative.
  return {excess.value + std::log(deviation), excess.derivative / deviation,
          (1 - z * excess.derivative) / deviation};
}

Term log_probability(double mean, double deviation, double threshold) {
  const double z = (mean - threshold) / deviation;
  const Dual cdf = log_normal_cdf(z);
  return {cdf.value, cdf.derivative / deviation, -cdf.derivative * z / deviation};
}

using TermFunction = Term (*)(double, double, double);

double add(const Target& target, TermFunction term, const Eigen::VectorXd& point,
           Eigen::VectorXd* gradient) {
  const Prediction at = target.model->predict(point, gradient != nullptr);
  const double deviation = std::sqrt(at.variance + kStabilising);
  const Term t = term(at.mean, deviation, target.threshold);
  if (gradient != nullptr) {
    *gradient +=
        t.by_mean * at.mean_gradient + t.by_deviation / (2 * deviation) * at.variance_gradient;
  }
  return t.value;
}

void add(const Target& target, TermFunction term, const Eigen::MatrixXd& points,
         Eigen::VectorXd& sum) {
  Eigen::VectorXd mean, variance;
  target.model->predict(points, mean, variance);
  for (Eigen::Index i = 0; i < sum.size(); ++i) {
    sum[i] += term(mean[i], std::sqrt(variance[i] + kStabilising), target.threshold).value;
  }
}

}  // namespace

Dual log_normal_cdf(double z) {
  if (z < kTail) {
    const double series = tail_series(z, -1);
    return {log_density(z) - std::log(-z) + std::log(series), -z / series};
  }
  const double value = z < 0 ? std::log(0.5 * std::erfc(-z / std::numbers::sqrt2))
                             : std::log1p(-0.5 * std::erfc(z / std::numbers::sqrt2));
  return {value, std::exp(log_density(z) - value)};
}

Dual log_expected_excess(double z) {
  if (z < kTail) {
    const double series = tail_series(z, 1);
    return {log_density(z) - 2 * std::log(-z) + std::log(series), (z * z / series - 1) / -z};
  }
  const double cdf = 0.5 * std::erfc(-z / std::numbers::sqrt2);
  const double excess = z * cdf + std::exp(log_density(z));
  return {std::log(excess), cdf / excess};
}

double LogImprovement::value(const Eigen::VectorXd& point, Eigen::VectorXd* gradient) const {
  if (gradient != nullptr) gradient->setZero(point.size());
  double sum = 0;
  if (std::isfinite(objective_.threshold)) sum += add(objective_, log_improvement, point, gradient);
  for (const Target& c : constraints_) sum += add(c, log_probability, point, gradient);
  return sum;
}

Eigen::VectorXd LogImprovement::values(const Eigen::MatrixXd& points) const {
  Eigen::VectorXd sum = Eigen::VectorXd::Zero(points.rows());
  if (std::isfinite(objective_.threshold)) add(objective_, log_improvement, points, sum);
  for (const Target& c : constraints_) add(c, log_probability, points, sum);
  return sum;
}

}  // namespace hone::tune::detail
