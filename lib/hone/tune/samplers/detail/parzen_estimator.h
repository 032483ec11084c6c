/// TPE's density of good or of other trials.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "hone/tune/distribution.h"
#include "hone/tune/samplers/detail/random_state.h"

namespace hone::tune::detail {

/// A kernel's normaliser and the width that it is for: what a later estimator of the same parameter
/// takes over where the kernel did not change.
struct Normaliser {
  double sigma = -1;
  double log = 0;
};

/// What the trials of one estimator say of one parameter.
struct Observations {
  Distribution distribution;
  std::vector<double> values;           ///< oldest first; logarithms where log; choices by index
  std::vector<uint32_t> ascending;      ///< positions in order of value, equals oldest first
  std::vector<Normaliser*> known = {};  ///< one a value, or none at all
};

/// Optuna's default weights: the 25 newest count 1, older ones less and less down to 1 / n.
std::vector<double> recency_weights(size_t n);

/// A mixture, over trials and a prior, of products, over parameters, of kernels: truncated normals
/// for numbers (of the logarithm where log; integrated over the cell of a grid point), smoothed
/// indicators for choices. The prior is one more kernel, as wide as the range.
/// Parity: Optuna 5.0's _ParzenEstimator, but that equal observations keep their order, where
///   NumPy's sort is not stable (tests/interop/tune_samplers.py).
/// Source: Bergstra et al., "Algorithms for hyper-parameter optimization", 2011; Watanabe,
///   "Tree-structured Parzen estimator", 2023 (arXiv 2304.11127); Optuna 5.0.0.
class ParzenEstimator {
 public:
  /// `weights`: one an observation, before normalising. All parameters have equally many.
  /// `choice_prior_weight`: what smooths the indicators, spread over the observations; Optuna takes
  /// the prior weight.
  ParzenEstimator(std::span<const Observations> parameters, std::vector<double> weights,
                  double prior_weight, double choice_prior_weight);

  /// `n` points, internal values, [n][parameters].
  std::vector<std::vector<double>> sample(RandomState& random, size_t n) const;
  /// The logarithm of the density at each point.
  std::vector<double> log_pdf(const std::vector<std::vector<double>>& points) const;

  /// Of all kernels, the prior last. `parameter` numeric.
  std::span<const double> mus(size_t parameter) const { return kernels_[parameter].mu; }
  std::span<const double> sigmas(size_t parameter) const { return kernels_[parameter].sigma; }
  std::span<const double> weights() const { return weights_; }

 private:
  struct Kernels {
    Distribution distribution;
    size_t choices;  ///< 0 for a number
    bool log;
    double step, low, high;  ///< low and high as bounds() has them
    std::vector<double> mu, sigma, log_norm;
    std::vector<uint32_t> ascending;
    std::vector<uint32_t> choice;  ///< of each observation; of the prior `choices`
    /// Of a kernel by its choice: the probability of that one, and of each other.
    std::vector<double> hit, miss;

    double choice_probability(size_t kernel, size_t c) const {
      return choice[kernel] == c ? hit[c] : miss[choice[kernel]];
    }
  };

  static Kernels numeric(const Observations& observations);
  static Kernels categorical(const Observations& observations, double prior_weight);
  static double draw_choice(const Kernels& kernels, size_t kernel, double quantile);
  static double draw_number(const Kernels& kernels, size_t kernel, double quantile);
  /// Add log kernel densities: sums[point][kernel].
  static void add_choices(const Kernels& kernels, const std::vector<double>& x,
                          std::vector<std::vector<double>>& sums);
  static void add_cells(const Kernels& kernels, const std::vector<double>& x,
                        std::vector<std::vector<double>>& sums);
  static void add_reals(const Kernels& kernels, const std::vector<double>& x,
                        std::vector<std::vector<double>>& sums);

  std::vector<Kernels> kernels_;  // by parameter
  std::vector<double> weights_;   // normalised, the prior's last
};

}  // namespace hone::tune::detail
