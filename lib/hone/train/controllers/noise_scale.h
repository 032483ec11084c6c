/// How noisy the gradient is: from its norms over a small and a large batch of the same step.
#pragma once
#include <optional>

#include "hone/core/json.h"
#include "hone/train/controllers/smoothing.h"

namespace hone::train {

/// The simple noise scale B_simple = tr(Sigma) / |G|^2 (McCandlish et al. 2018, An Empirical Model
/// of Large-Batch Training, appendix A.1): the batch size at which the noise of the gradient is as
/// large as the gradient. For gradients that are means over B targets,
///   |G|^2     = (B_big |G_big|^2 - B_small |G_small|^2) / (B_big - B_small)
///   tr(Sigma) = (|G_small|^2 - |G_big|^2) / (1 / B_small - 1 / B_big)
/// are unbiased; their quotient is not, so that both are averaged over steps before it is taken.
class NoiseScale {
 public:
  /// `decay` of both averages; the estimate of one step is mostly noise.
  explicit NoiseScale(double decay = 0.95) : squared_gradient_(decay), trace_(decay) {}

  /// One step. `small_squared` is the mean of the squared norms of the gradients of its batches,
  /// `small` the harmonic mean of their sizes, `big_squared` the squared norm of the gradient of
  /// all of them, `big` their size together. A step whose norms are not finite is left out. Throws:
  /// hone::Error unless 0 < small < big.
  void add(double small_squared, double small, double big_squared, double big);

  /// In the unit of the sizes. Nothing before the first step, or while the average |G|^2 is not
  /// above 0: the gradient then drowns in its noise.
  std::optional<double> value() const;
  std::optional<double> squared_gradient() const { return squared_gradient_.value(); }
  std::optional<double> trace() const { return trace_.value(); }

  Json state() const;
  void restore(const Json& state);

 private:
  Ema squared_gradient_, trace_;
};

}  // namespace hone::train
