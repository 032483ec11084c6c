#include "hone/tune/samplers/detail/sampled_acquisition.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "hone/tune/samplers/detail/sobol.h"

namespace hone::tune::detail {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kStabilising = 1e-12;  // on variances
constexpr double kSmallest = 1e-12;     // improvement, for its logarithm
constexpr double kSoftness = 1e-2;      // of a constraint's edge, in standard deviations

Dual log_sigmoid(double z) {
  const double value = z < 0 ? z - std::log1p(std::exp(z)) : -std::log1p(std::exp(-z));
  return {value, std::exp(z < 0 ? -std::log1p(std::exp(z)) : -z - std::log1p(std::exp(-z)))};
}

/// Quantile of the standard normal distribution: Newton's steps on its log_normal_cdf().
double normal_quantile(double p) {
  if (p > 0.5) return -normal_quantile(1 - p);
  double z = 0;
  for (int i = 0; i < 60; ++i) {
    const Dual at = log_normal_cdf(z);
    const double step = (std::log(p) - at.value) / at.derivative;
    z += step;
    if (std::abs(step) < 1e-14 * std::max(1.0, std::abs(z))) break;
  }
  return z;
}

}  // namespace

Fantasies::Fantasies(const GaussianProcess& model, const MatrixXd& running, const MatrixXd& normals)
    : model_(model), running_(running), normals_(normals.rightCols(1)) {
  const Index r = running.rows();
  if (r == 0) return;
  VectorXd mean, variance;
  model.predict(running, mean, variance);
  MatrixXd covariance = model.covariance(running);
  covariance.diagonal().array() = covariance.diagonal().array().max(0) + kStabilising;
  factor_ = factorise(std::move(covariance));
  const MatrixXd deviations = normals.leftCols(r) * factor_.matrixL().transpose();
  at_running_ = deviations.rowwise() + mean.transpose();
  pull_ = factor_.solve(deviations.transpose());
  MatrixXd k(model.x().rows(), r);
  for (Index i = 0; i < r; ++i) k.col(i) = model.kernel(model.x(), running.row(i));
  known_ = model.solve(k);
}

VectorXd Fantasies::at(const VectorXd& point, MatrixXd* derivatives) const {
  Prediction p = model_.predict(point, derivatives != nullptr);
  VectorXd mean = VectorXd::Constant(normals_.size(), p.mean);
  double variance = p.variance + kStabilising;
  MatrixXd mean_derivatives;  // [s, d]
  if (derivatives != nullptr) {
    mean_derivatives = p.mean_gradient.transpose().replicate(normals_.size(), 1);
  }
  if (running_.rows() > 0) {
    MatrixXd to_known, to_running;
    MatrixXd* const known = derivatives != nullptr ? &to_known : nullptr;
    MatrixXd* const running = derivatives != nullptr ? &to_running : nullptr;
    const VectorXd k = model_.kernel(model_.x(), point, known);
    const VectorXd cross = model_.kernel(running_, point, running) - known_.transpose() * k;
    const VectorXd solved = factor_.solve(cross);
    mean += pull_.transpose() * cross;
    variance -= cross.dot(solved);
    if (derivatives != nullptr) {
      const MatrixXd cross_derivative = to_running - known_.transpose() * to_known;  // [r, d]
      mean_derivatives += pull_.transpose() * cross_derivative;
      p.variance_gradient -= 2 * cross_derivative.transpose() * solved;
    }
  }
  const double deviation = std::sqrt(std::max(0.0, variance));
  if (derivatives != nullptr) {
    *derivatives = mean_derivatives;
    if (deviation > 0) {
      *derivatives += normals_ / (2 * deviation) * p.variance_gradient.transpose();
    }
  }
  return mean + deviation * normals_;
}

SampledAcquisition::SampledAcquisition(std::vector<Fantasies> objectives, LogUtility utility,
                                       std::vector<Fantasies> constraints,
                                       std::vector<double> thresholds, bool count_running)
    : objectives_(std::move(objectives)),
      constraints_(std::move(constraints)),
      utility_(std::move(utility)),
      thresholds_(std::move(thresholds)) {
  const Index samples = objectives_[0].at_running().rows();
  const Index running = objectives_[0].at_running().cols();
  if (!count_running || running == 0) return;
  floor_ = VectorXd::Constant(samples, -std::numeric_limits<double>::infinity());
  VectorXd y(objectives_.size());
  for (Index s = 0; s < samples; ++s) {
    for (Index r = 0; r < running; ++r) {
      for (size_t i = 0; i < objectives_.size(); ++i) y[i] = objectives_[i].at_running()(s, r);
      double sum = utility_(s, y, nullptr);
      for (size_t c = 0; c < constraints_.size(); ++c) {
        sum += log_sigmoid((constraints_[c].at_running()(s, r) - thresholds_[c]) / kSoftness).value;
      }
      floor_[s] = std::max(floor_[s], sum);
    }
  }
}

double SampledAcquisition::value(const VectorXd& point, VectorXd* gradient) const {
  std::vector<VectorXd> drawn;
  std::vector<MatrixXd> derivatives(objectives_.size() + constraints_.size());
  for (const auto* list : {&objectives_, &constraints_}) {
    for (const Fantasies& f : *list) {
      drawn.push_back(f.at(point, gradient != nullptr ? &derivatives[drawn.size()] : nullptr));
    }
  }
  const Index samples = drawn[0].size();
  VectorXd utilities(samples), y(objectives_.size()), by_y;
  MatrixXd gradients = MatrixXd::Zero(gradient != nullptr ? samples : 0, point.size());
  for (Index s = 0; s < samples; ++s) {
    for (size_t i = 0; i < objectives_.size(); ++i) y[i] = drawn[i][s];
    double sum = utility_(s, y, gradient != nullptr ? &by_y : nullptr);
    if (gradient != nullptr) {
      for (size_t i = 0; i < objectives_.size(); ++i) {
        gradients.row(s) += by_y[i] * derivatives[i].row(s);
      }
    }
    for (size_t c = 0; c < constraints_.size(); ++c) {
      const size_t i = objectives_.size() + c;
      const Dual at = log_sigmoid((drawn[i][s] - thresholds_[c]) / kSoftness);
      sum += at.value;
      if (gradient != nullptr)
        gradients.row(s) += at.derivative / kSoftness * derivatives[i].row(s);
    }
    if (floor_.size() > 0 && floor_[s] >= sum) {
      sum = floor_[s];
      if (gradient != nullptr) gradients.row(s).setZero();
    }
    utilities[s] = sum;
  }
  const double most = utilities.maxCoeff();
  const VectorXd weights = (utilities.array() - most).exp();
  if (gradient != nullptr) *gradient = gradients.transpose() * weights / weights.sum();
  return most + std::log(weights.sum() / static_cast<double>(samples));
}

VectorXd SampledAcquisition::values(const MatrixXd& points) const {
  VectorXd values(points.rows());
  for (Index i = 0; i < points.rows(); ++i) values[i] = value(points.row(i), nullptr);
  return values;
}

LogUtility log_excess(double threshold) {
  return [threshold](Index, const VectorXd& y, VectorXd* gradient) {
    if (gradient != nullptr) gradient->setZero(y.size());
    if (!std::isfinite(threshold)) return 0.0;
    const double excess = y[0] - threshold;
    if (excess > kSmallest && gradient != nullptr) (*gradient)[0] = 1 / excess;
    return std::log(std::max(kSmallest, excess));
  };
}

double SumOfAcquisitions::value(const VectorXd& point, VectorXd* gradient) const {
  double sum = 0;
  VectorXd one;
  if (gradient != nullptr) gradient->setZero(point.size());
  for (const auto& term : terms_) {
    sum += term->value(point, gradient != nullptr ? &one : nullptr);
    if (gradient != nullptr) *gradient += one;
  }
  return sum;
}

VectorXd SumOfAcquisitions::values(const MatrixXd& points) const {
  VectorXd sum = VectorXd::Zero(points.rows());
  for (const auto& term : terms_) sum += term->values(points);
  return sum;
}

MatrixXd sobol_normals(Index samples, size_t columns, uint64_t seed) {
  const std::vector<double> points = Sobol(columns, seed).points(samples);
  MatrixXd normals(samples, columns);
  for (Index s = 0; s < samples; ++s) {
    for (size_t c = 0; c < columns; ++c) {
      // Half a unit of the sequence's 30 bits away from 0.
      const double half = std::ldexp(0.5, -Sobol::kBits);
      normals(s, c) = normal_quantile(points[s * columns + c] + half);
    }
  }
  return normals;
}

}  // namespace hone::tune::detail
