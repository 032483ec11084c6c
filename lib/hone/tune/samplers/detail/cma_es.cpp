#include "hone/tune/samplers/detail/cma_es.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <utility>

namespace hone::tune::detail {
namespace {

constexpr double kCondition = 1e14;    // of C: beyond it C^(-1/2) is noise
constexpr double kLeastSigma = 1e-15;  // of a unit cube: below it points do not differ
constexpr double kMostSigma = 1e32;
constexpr double kEpsilon = 1e-8;  // against division by zero

double log_rank(int64_t population, int64_t k) {
  return std::log((population + 1) / 2.0) - std::log(k + 1.0);
}

}  // namespace

int64_t CmaEs::default_population(int64_t dimensions) {
  return 4 + static_cast<int64_t>(std::floor(3 * std::log(static_cast<double>(dimensions))));
}

CmaEs::CmaEs(Eigen::VectorXd mean, double sigma, int64_t population)
    : population_(population > 0 ? population : default_population(mean.size())),
      parents_(population_ / 2),
      mean_(std::move(mean)),
      sigma_(sigma) {
  const double n = static_cast<double>(mean_.size());
  weights_.resize(population_);
  for (int64_t k = 0; k < population_; ++k) weights_[k] = log_rank(population_, k);
  const auto effective = [](const auto& w) { return w.sum() * w.sum() / w.squaredNorm(); };
  effective_ = effective(weights_.head(parents_));
  const double effective_rest = effective(weights_.tail(population_ - parents_));

  rank_one_rate_ = 2 / ((n + 1.3) * (n + 1.3) + effective_);
  rank_mu_rate_ = std::min(1 - rank_one_rate_ - kEpsilon, 2 * (effective_ - 2 + 1 / effective_) /
                                                              ((n + 2) * (n + 2) + effective_));
  // Negative weights together must not make C lose definiteness (equations 50-53).
  const double most_negative =
      std::min({1 + rank_one_rate_ / rank_mu_rate_, 1 + 2 * effective_rest / (effective_ + 2),
                (1 - rank_one_rate_ - rank_mu_rate_) / (n * rank_mu_rate_)});
  const double positive = weights_.cwiseMax(0).sum(), negative = -weights_.cwiseMin(0).sum();
  for (double& w : weights_) w *= w >= 0 ? 1 / positive : most_negative / negative;

  sigma_rate_ = (effective_ + 2) / (n + effective_ + 5);
  sigma_damping_ = 1 + 2 * std::max(0.0, std::sqrt((effective_ - 1) / (n + 1)) - 1) + sigma_rate_;
  path_rate_ = (4 + effective_ / n) / (n + 4 + 2 * effective_ / n);
  expected_norm_ = std::sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));

  sigma_path_ = covariance_path_ = Eigen::VectorXd::Zero(mean_.size());
  set_covariance(Eigen::MatrixXd::Identity(mean_.size(), mean_.size()));
}

void CmaEs::set_covariance(const Eigen::MatrixXd& covariance) {
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(
      (covariance + covariance.transpose()) / 2);
  const Eigen::VectorXd& values = solver.eigenvalues();
  axes_ = solver.eigenvectors();
  scales_ = values.cwiseMax(values.maxCoeff() / kCondition).cwiseSqrt();
  covariance_ = axes_ * scales_.cwiseAbs2().asDiagonal() * axes_.transpose();
}

Eigen::VectorXd CmaEs::point(const Eigen::VectorXd& z) const {
  return mean_ + sigma_ * (axes_ * scales_.cwiseProduct(z));
}

void CmaEs::update(std::vector<Solution> solutions) {
  ++generation_;
  std::stable_sort(solutions.begin(), solutions.end(),
                   [](const Solution& a, const Solution& b) { return a.value < b.value; });
  const int64_t n = mean_.size();
  Eigen::MatrixXd steps(n, population_);  // ~ N(0, C)
  for (int64_t k = 0; k < population_; ++k) steps.col(k) = (solutions[k].x - mean_) / sigma_;

  const Eigen::VectorXd step = steps.leftCols(parents_) * weights_.head(parents_);
  mean_ += sigma_ * step;

  // C^(-1/2) turns steps into the coordinates in which they are N(0, I).
  const auto whitened = [this](const auto& y) {
    return (axes_ * scales_.cwiseInverse().asDiagonal() * (axes_.transpose() * y)).eval();
  };
  sigma_path_ = (1 - sigma_rate_) * sigma_path_ +
                std::sqrt(sigma_rate_ * (2 - sigma_rate_) * effective_) * whitened(step);
  const double length = sigma_path_.norm();
  sigma_ *= std::exp(sigma_rate_ / sigma_damping_ * (length / expected_norm_ - 1));
  sigma_ = std::clamp(sigma_, kLeastSigma, kMostSigma);

  // The rank-one path stalls while the step size grows fast.
  const double grown = std::sqrt(1 - std::pow(1 - sigma_rate_, 2.0 * (generation_ + 1)));
  const bool stalled = length / grown >= (1.4 + 2 / (n + 1.0)) * expected_norm_;
  covariance_path_ *= 1 - path_rate_;
  if (!stalled) covariance_path_ += std::sqrt(path_rate_ * (2 - path_rate_) * effective_) * step;

  Eigen::VectorXd weights = weights_;
  const Eigen::VectorXd lengths = whitened(steps).colwise().squaredNorm().transpose();
  for (int64_t k = 0; k < population_; ++k) {
    if (weights[k] < 0) weights[k] *= n / (lengths[k] + kEpsilon);
  }
  const double kept = 1 + (stalled ? rank_one_rate_ * path_rate_ * (2 - path_rate_) : 0) -
                      rank_one_rate_ - rank_mu_rate_ * weights_.sum();
  set_covariance(kept * covariance_ +
                 rank_one_rate_ * covariance_path_ * covariance_path_.transpose() +
                 rank_mu_rate_ * steps * weights.asDiagonal() * steps.transpose());
}

}  // namespace hone::tune::detail
