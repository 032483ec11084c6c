/// Acquisition functions without a closed form: means over samples of what would be observed.
#pragma once
#include <Eigen/Core>
#include <functional>
#include <memory>
#include <vector>

#include "hone/tune/samplers/detail/acquisition.h"

namespace hone::tune::detail {

/// Samples of a model's function at the points of running trials ("fantasies") and, given these, at
/// a candidate. With fixed normal numbers a sample is a smooth function of the candidate.
class Fantasies {
 public:
  /// running [r, d], r >= 0; normals [s, r + 1]: one row a sample, the last column the candidate's.
  Fantasies(const GaussianProcess& model, const Eigen::MatrixXd& running,
            const Eigen::MatrixXd& normals);

  /// [s, r].
  const Eigen::MatrixXd& at_running() const { return at_running_; }
  /// [s] at the candidate and, where asked for, their derivatives [s, d].
  Eigen::VectorXd at(const Eigen::VectorXd& point, Eigen::MatrixXd* derivatives) const;

 private:
  const GaussianProcess& model_;
  Eigen::MatrixXd running_, at_running_;
  Eigen::VectorXd normals_;             // [s], the candidate's
  Eigen::LLT<Eigen::MatrixXd> factor_;  // of the posterior covariance of the running points
  Eigen::MatrixXd pull_;                // its inverse times the fantasies' deviations, [r, s]
  Eigen::MatrixXd known_;               // (k(X, X) + noise I)^-1 k(X, running), [n, r]
};

/// A sample's log utility at objective values y [m], of which larger is better; its gradient [m]
/// where that is not null.
using LogUtility =
    std::function<double(Eigen::Index sample, const Eigen::VectorXd& y, Eigen::VectorXd* gradient)>;

/// log mean_s max(u_s(f_s(x)), max over running trials of u_s(f_s)), u_s the log utility plus
/// log sigmoid((f_c - threshold_c) / 0.01) for each constraint: a candidate is worth what it adds
/// to the trials that are running.
/// The functions of Optuna 5.0.0's qLogEI, qLogCEI, LogEHVI and qLogEHVI, but that all models take
/// their normal numbers from one sequence.
/// Source: Ament et al., 2023, equation 10; Daulton et al., "Differentiable Expected Hypervolume
///   Improvement", 2020.
class SampledAcquisition : public Acquisition {
 public:
  /// `count_running`: whether the running trials' own utility counts; a utility that knows their
  /// fantasies already sets it to false.
  SampledAcquisition(std::vector<Fantasies> objectives, LogUtility utility,
                     std::vector<Fantasies> constraints, std::vector<double> thresholds,
                     bool count_running);

  double value(const Eigen::VectorXd& point, Eigen::VectorXd* gradient) const override;
  Eigen::VectorXd values(const Eigen::MatrixXd& points) const override;

 private:
  std::vector<Fantasies> objectives_, constraints_;
  LogUtility utility_;
  std::vector<double> thresholds_;
  Eigen::VectorXd floor_;  // [s], of the running trials
};

/// log max(1e-12, y - threshold) of one objective; 0 where threshold is -infinity.
LogUtility log_excess(double threshold);

/// The sum of several, on all of which one optimises.
class SumOfAcquisitions : public Acquisition {
 public:
  explicit SumOfAcquisitions(std::vector<std::unique_ptr<Acquisition>> terms)
      : terms_(std::move(terms)) {}
  double value(const Eigen::VectorXd& point, Eigen::VectorXd* gradient) const override;
  Eigen::VectorXd values(const Eigen::MatrixXd& points) const override;

 private:
  std::vector<std::unique_ptr<Acquisition>> terms_;
};

/// [samples, columns] standard normal numbers through the inverse distribution function of a
/// scrambled Sobol sequence.
Eigen::MatrixXd sobol_normals(Eigen::Index samples, size_t columns, uint64_t seed);

}  // namespace hone::tune::detail
