/// Gaussian-process regression as Bayesian optimisation uses it.
#pragma once
#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <vector>

namespace hone::tune::detail {

/// What a fit finds.
struct KernelParams {
  Eigen::VectorXd inverse_squared_lengths;  ///< [d]
  double scale = 1;                         ///< prior variance of the function
  double noise = 1;                         ///< variance of an observation around it
};

/// The posterior at one point.
struct Prediction {
  double mean = 0, variance = 0;
  Eigen::VectorXd mean_gradient,
      variance_gradient;  ///< [d], where asked for; 0 at categorical axes
};

/// y ~ N(0, k(X, X) + noise I) with the Matern 5/2 kernel
///
///   k(a, b) = scale (1 + r + r^2/3) exp(-r),  r^2 = 5 sum_k inverse_squared_lengths[k] q_k
///
/// q_k = (a_k - b_k)^2, or [a_k != b_k] at categorical axes.
/// Priors: each inverse squared length w has log density -(0.1/w + 0.1 w) + const, scale is
///   Gamma(2, rate 1), noise is Gamma(1.1, rate 30); noise >= kLeastNoise.
/// Robustness: where k + noise I is not positive definite in doubles, as little as suffices is
/// added
///   to the diagonal, so that repeated and very close points do no harm.
/// Cost: O(n^3 + d n^2) a step of the fit, O(n^2) a prediction.
/// Parity: posterior, likelihood and prior equal those of Optuna 5.0.0
/// (tests/interop/tune_models.py). Source: Rasmussen and Williams, Gaussian Processes for Machine
/// Learning, 2006, chapters 2 and 5;
///   priors: Optuna.
class GaussianProcess {
 public:
  static constexpr double kLeastNoise = 1e-6;

  /// x [n, d], y [n], n >= 1. All parameters are 1 at first.
  GaussianProcess(Eigen::MatrixXd x, Eigen::VectorXd y, std::vector<bool> categorical);

  /// -(log likelihood + log prior) without their constants, at raw [d + 2] = logarithms of the
  /// inverse squared lengths, scale and noise - kLeastNoise; and its gradient.
  double loss(const Eigen::VectorXd& raw, Eigen::VectorXd& gradient) const;

  /// Minimises loss() from all parameters 1 by L-BFGS-B and sets what it finds. It keeps no memory
  /// of earlier fits, so that what it finds depends on the observations alone.
  void fit();
  void set(const KernelParams& params);
  const KernelParams& params() const { return params_; }

  Prediction predict(const Eigen::VectorXd& point, bool gradients) const;
  /// Of points [m, d]: mean [m] and variance [m].
  void predict(const Eigen::MatrixXd& points, Eigen::VectorXd& mean,
               Eigen::VectorXd& variance) const;
  /// Posterior covariance [m, m] of the function at points [m, d].
  Eigen::MatrixXd covariance(const Eigen::MatrixXd& points) const;

  /// k(point, others) [m] for others [m, d] and, where asked for, its derivative by the point's
  /// axes [m, d].
  Eigen::VectorXd kernel(const Eigen::MatrixXd& others, const Eigen::VectorXd& point,
                         Eigen::MatrixXd* derivative = nullptr) const;
  /// (k(X, X) + noise I)^-1 v.
  Eigen::MatrixXd solve(const Eigen::MatrixXd& v) const { return factor_.solve(v); }

  const Eigen::MatrixXd& x() const { return x_; }

 private:
  Eigen::ArrayXd squared_distances(const Eigen::MatrixXd& others, const Eigen::VectorXd& point,
                                   const Eigen::VectorXd& weights) const;

  Eigen::MatrixXd x_;
  Eigen::VectorXd y_;
  std::vector<bool> categorical_;
  KernelParams params_;
  Eigen::LLT<Eigen::MatrixXd> factor_;  // of k(X, X) + noise I
  Eigen::VectorXd weights_;             // (k(X, X) + noise I)^-1 y
};

/// The factor of `matrix`, whose diagonal has grown by as little as it needs to have one.
/// Throws: Error if `matrix` has values that are not finite.
Eigen::LLT<Eigen::MatrixXd> factorise(Eigen::MatrixXd matrix);

}  // namespace hone::tune::detail
