#include "hone/tune/samplers/detail/gaussian_process.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "hone/core/error.h"
#include "hone/tune/detail/minimise.h"

namespace hone::tune::detail {
namespace {

using Eigen::ArrayXd;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kGradientTolerance = 1e-2;  // in logarithms: parameters within about a percent
constexpr int kFitRounds = 200;
// Bounds of the fit, which the priors keep far from any optimum but for a noise of kLeastNoise.
constexpr double kLeastRaw = -23, kMostRaw = 12;

/// Matern 5/2 at r^2 = 5 d, and its derivative by d.
ArrayXd matern(const ArrayXd& d) {
  const ArrayXd r = (5 * d).sqrt();
  return (1 + r + 5.0 / 3 * d) * (-r).exp();
}
ArrayXd matern_derivative(const ArrayXd& d) {
  const ArrayXd r = (5 * d).sqrt();
  return -5.0 / 6 * (1 + r) * (-r).exp();
}

ArrayXd axis_distances(const MatrixXd& x, Eigen::Index k, double at, bool categorical) {
  if (categorical) return (x.col(k).array() != at).cast<double>();
  return (x.col(k).array() - at).square();
}

/// Log density and its derivative by the logarithm of the value.
struct Prior {
  double value, slope;
};
Prior length_prior(double w) { return {-0.1 / w - 0.1 * w, 0.1 / w - 0.1 * w}; }
Prior gamma_prior(double value, double shape, double rate) {
  return {(shape - 1) * std::log(value) - rate * value, shape - 1 - rate * value};
}

}  // namespace

Eigen::LLT<MatrixXd> factorise(MatrixXd matrix) {
  if (!matrix.allFinite()) throw Error("GaussianProcess: the covariance has values not finite");
  Eigen::LLT<MatrixXd> factor(matrix);
  double jitter = 1e-12 * matrix.diagonal().maxCoeff();
  while (factor.info() != Eigen::Success) {
    matrix.diagonal().array() += jitter;
    factor.compute(matrix);
    jitter *= 10;
  }
  return factor;
}

GaussianProcess::GaussianProcess(MatrixXd x, VectorXd y, std::vector<bool> categorical)
    : x_(std::move(x)), y_(std::move(y)), categorical_(std::move(categorical)) {
  set({VectorXd::Ones(x_.cols())});
}

ArrayXd GaussianProcess::squared_distances(const MatrixXd& others, const VectorXd& point,
                                           const VectorXd& weights) const {
  ArrayXd sum = ArrayXd::Zero(others.rows());
  for (Eigen::Index k = 0; k < others.cols(); ++k) {
    sum += weights[k] * axis_distances(others, k, point[k], categorical_[k]);
  }
  return sum;
}

double GaussianProcess::loss(const VectorXd& raw, VectorXd& gradient) const {
  const Eigen::Index n = x_.rows(), d = x_.cols();
  const VectorXd lengths = raw.head(d).array().exp();
  const double scale = std::exp(raw[d]), raw_noise = std::exp(raw[d + 1]);

  MatrixXd kernel(n, n), slope(n, n);  // slope: derivative of kernel by the squared distance
  for (Eigen::Index i = 0; i < n; ++i) {
    const ArrayXd distances = squared_distances(x_, x_.row(i), lengths);
    kernel.col(i) = scale * matern(distances);
    slope.col(i) = scale * matern_derivative(distances);
  }
  MatrixXd covariance = kernel;
  covariance.diagonal().array() += raw_noise + kLeastNoise;
  const Eigen::LLT<MatrixXd> factor = factorise(std::move(covariance));
  const VectorXd weights = factor.solve(y_);

  // d log likelihood = tr(pull dC) / 2.
  const MatrixXd pull = weights * weights.transpose() - factor.solve(MatrixXd::Identity(n, n));
  double value = factor.matrixLLT().diagonal().array().log().sum() + 0.5 * y_.dot(weights);
  gradient.resize(d + 2);
  const MatrixXd weighted = pull.cwiseProduct(slope);
  for (Eigen::Index k = 0; k < d; ++k) {
    double sum = 0;
    for (Eigen::Index i = 0; i < n; ++i) {
      sum += weighted.col(i).dot(axis_distances(x_, k, x_(i, k), categorical_[k]).matrix());
    }
    const Prior prior = length_prior(lengths[k]);
    value -= prior.value;
    gradient[k] = -0.5 * lengths[k] * sum - prior.slope;
  }
  const Prior scale_prior = gamma_prior(scale, 2, 1);
  const double noise = raw_noise + kLeastNoise;
  const Prior noise_prior = gamma_prior(noise, 1.1, 30);
  gradient[d] = -0.5 * pull.cwiseProduct(kernel).sum() - scale_prior.slope;
  gradient[d + 1] = raw_noise * (-0.5 * pull.trace() - noise_prior.slope / noise);
  return value - scale_prior.value - noise_prior.value;
}

void GaussianProcess::fit() {
  const Eigen::Index d = x_.cols();
  const auto function = [this](const VectorXd& raw, VectorXd& gradient) {
    return loss(raw, gradient);
  };
  const VectorXd found =
      minimise(function, VectorXd::Zero(d + 2), VectorXd::Constant(d + 2, kLeastRaw),
               VectorXd::Constant(d + 2, kMostRaw), kGradientTolerance, kFitRounds)
          .x;
  set({found.head(d).array().exp(), std::exp(found[d]), std::exp(found[d + 1]) + kLeastNoise});
}

void GaussianProcess::set(const KernelParams& params) {
  params_ = params;
  MatrixXd covariance(x_.rows(), x_.rows());
  for (Eigen::Index i = 0; i < x_.rows(); ++i) covariance.col(i) = kernel(x_, x_.row(i));
  covariance.diagonal().array() += params_.noise;
  factor_ = factorise(std::move(covariance));
  weights_ = factor_.solve(y_);
}

VectorXd GaussianProcess::kernel(const MatrixXd& others, const VectorXd& point,
                                 MatrixXd* derivative) const {
  const ArrayXd distances = squared_distances(others, point, params_.inverse_squared_lengths);
  if (derivative != nullptr) {
    derivative->setZero(others.rows(), others.cols());
    const ArrayXd slope = 2 * params_.scale * matern_derivative(distances);
    for (Eigen::Index k = 0; k < others.cols(); ++k) {
      if (categorical_[k]) continue;
      derivative->col(k) =
          slope * params_.inverse_squared_lengths[k] * (point[k] - others.col(k).array());
    }
  }
  return params_.scale * matern(distances);
}

Prediction GaussianProcess::predict(const VectorXd& point, bool gradients) const {
  MatrixXd derivative;
  const VectorXd k = kernel(x_, point, gradients ? &derivative : nullptr);
  const VectorXd solved = solve(k);
  Prediction prediction{k.dot(weights_), std::max(0.0, params_.scale - k.dot(solved)), {}, {}};
  if (gradients) {
    prediction.mean_gradient = derivative.transpose() * weights_;
    prediction.variance_gradient = -2 * (derivative.transpose() * solved);
  }
  return prediction;
}

void GaussianProcess::predict(const MatrixXd& points, VectorXd& mean, VectorXd& variance) const {
  MatrixXd k(x_.rows(), points.rows());
  for (Eigen::Index i = 0; i < points.rows(); ++i) k.col(i) = kernel(x_, points.row(i));
  mean = k.transpose() * weights_;
  factor_.matrixL().solveInPlace(k);
  variance = (params_.scale - k.colwise().squaredNorm().transpose().array()).cwiseMax(0);
}

MatrixXd GaussianProcess::covariance(const MatrixXd& points) const {
  const Eigen::Index m = points.rows();
  MatrixXd k(x_.rows(), m), prior(m, m);
  for (Eigen::Index i = 0; i < m; ++i) {
    k.col(i) = kernel(x_, points.row(i));
    prior.col(i) = kernel(points, points.row(i));
  }
  factor_.matrixL().solveInPlace(k);
  return prior - k.transpose() * k;
}

}  // namespace hone::tune::detail
