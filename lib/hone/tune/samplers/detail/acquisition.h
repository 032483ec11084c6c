/// What a model-based sampler maximises.
#pragma once
#include <Eigen/Core>
#include <memory>
#include <vector>

#include "hone/tune/samplers/detail/gaussian_process.h"

namespace hone::tune::detail {

/// A function's value and its derivative at the same place: a dual number.
struct Dual {
  double value, derivative;
};

/// log of the standard normal distribution's Phi(z), for any z.
Dual log_normal_cdf(double z);

/// log E[max(0, z + e)], e ~ N(0, 1), for any z; its derivative is Phi(z) over the expectation.
/// Below z = -25, where the expectation's two terms cancel, by its asymptotic series.
/// Source: Ament et al., "Unexpected Improvements to Expected Improvement", 2023, equation 9.
Dual log_expected_excess(double z);

/// Larger is better. Points lie on a UnitCube's axes.
class Acquisition {
 public:
  virtual ~Acquisition() = default;
  /// At a point [d]; its gradient [d] where that is not null.
  virtual double value(const Eigen::VectorXd& point, Eigen::VectorXd* gradient) const = 0;
  /// At points [m, d].
  virtual Eigen::VectorXd values(const Eigen::MatrixXd& points) const = 0;
};

/// A model and the value that it should exceed.
struct Target {
  const GaussianProcess* model;
  double threshold;
};

/// log E[max(0, f(x) - objective.threshold)] + sum_c log P(f_c(x) > threshold_c) over constraints.
/// The first term is left out where the threshold is -infinity: nothing feasible is known yet.
/// Parity: Optuna 5.0.0's LogEI and LogCEI (tests/interop/tune_models.py).
/// Source: Ament et al., 2023; Gardner et al., "Bayesian Optimization with Inequality Constraints",
///   2014.
class LogImprovement : public Acquisition {
 public:
  LogImprovement(Target objective, std::vector<Target> constraints)
      : objective_(objective), constraints_(std::move(constraints)) {}
  double value(const Eigen::VectorXd& point, Eigen::VectorXd* gradient) const override;
  Eigen::VectorXd values(const Eigen::MatrixXd& points) const override;

 private:
  Target objective_;
  std::vector<Target> constraints_;
};

}  // namespace hone::tune::detail
