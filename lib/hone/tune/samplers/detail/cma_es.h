/// Covariance matrix adaptation evolution strategy.
#pragma once
#include <Eigen/Core>
#include <cstdint>
#include <functional>
#include <vector>

namespace hone::tune::detail {

/// The search distribution N(mean, sigma^2 C), and how one generation of ranked solutions moves it:
/// recombination by positive weights, cumulative step-size control, rank-one and active rank-mu
/// updates. Minimises. Constants are the tutorial's defaults with alpha_cov 2.
/// Cost: O(d^3) a generation.
/// Parity: mean, sigma, C and both paths equal those of the Python package cmaes on the same
///   solutions (tests/interop/tune_models.py), but for C's condition number, held below 1e14.
/// Source: Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772, equations 41-58.
class CmaEs {
 public:
  struct Solution {
    Eigen::VectorXd x;
    double value;
  };

  /// population 0: 4 + floor(3 ln d).
  CmaEs(Eigen::VectorXd mean, double sigma, int64_t population = 0);

  static int64_t default_population(int64_t dimensions);

  /// One generation: `population()` solutions; equal values rank in the order given.
  void update(std::vector<Solution> solutions);

  /// mean + sigma C^(1/2) z for z [d], drawn by the caller from N(0, I).
  Eigen::VectorXd point(const Eigen::VectorXd& z) const;

  int64_t population() const { return population_; }
  int64_t generation() const { return generation_; }
  const Eigen::VectorXd& mean() const { return mean_; }
  double sigma() const { return sigma_; }
  const Eigen::MatrixXd& covariance() const { return covariance_; }
  const Eigen::VectorXd& sigma_path() const { return sigma_path_; }
  const Eigen::VectorXd& covariance_path() const { return covariance_path_; }

 private:
  void set_covariance(const Eigen::MatrixXd& covariance);

  int64_t population_, parents_, generation_ = 0;
  Eigen::VectorXd weights_;
  double effective_;  // variance-effective selection mass of the parents
  double path_rate_, rank_one_rate_, rank_mu_rate_, sigma_rate_, sigma_damping_, expected_norm_;
  Eigen::VectorXd mean_, sigma_path_, covariance_path_;
  double sigma_;
  Eigen::MatrixXd covariance_;  // C = axes diag(scales^2) axes^T
  Eigen::MatrixXd axes_;
  Eigen::VectorXd scales_;
};

}  // namespace hone::tune::detail
