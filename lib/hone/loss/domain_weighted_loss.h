/// Token cross-entropy weighted by domain.
#pragma once
#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "hone/kernels/linear_cross_entropy.h"
#include "hone/loss/loss_sum.h"

namespace hone::loss {

struct DomainWeightedLossOptions {
  std::vector<double> weights = {1.0};  ///< one a domain, finite, >= 0
  int64_t ignore_index = -100;          ///< target that counts nothing
};

/// Token cross-entropy in which each token counts with the weight of its domain.
///
///   sum    = sum_t w[domain[t]] * token_weights[t] * nll[t]   over targets[t] != ignore_index
///   weight = sum_t w[domain[t]] * token_weights[t]            over the same; 0 if all are ignored
///
/// Undivided, so that accumulation divides once per optimiser step by the step's total weight.
/// Shapes: logits [T, V] or [B, T, V] floating (nll in nats; half types are widened to float32);
///   targets of the leading shape, int64, in [0, V) or ignore_index; domain of the same shape,
///   int64 in [0, M); token_weights (key entities) of the same shape, undefined = 1 everywhere.
/// Gradient: to logits (or hidden and lm_weight) only; `weights` [M] float64 is a buffer: saved,
///   moved, changed by set_weights().
/// Throws: c10::ValueError naming the argument, its shape and the expected one.
/// Parity: all w == 1 gives sum / weight == F::cross_entropy(mean) (tests/loss).
/// Source: ours.
class DomainWeightedLossImpl : public torch::nn::Cloneable<DomainWeightedLossImpl> {
 public:
  explicit DomainWeightedLossImpl(DomainWeightedLossOptions options = {});
  void reset() override;
  void pretty_print(std::ostream& stream) const override;

  LossSum forward(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& domain,
                  const at::Tensor& token_weights = {});

  /// The same from hidden [T, D] and the output projection lm_weight [V, D], without ever holding
  /// the logits whole (kernels::linear_cross_entropy, which see for `token_nll`). With `soft` each
  /// token's nll is shared with its divergence from a teacher (kernels::linear_distillation).
  LossSum forward_linear(const at::Tensor& hidden, const at::Tensor& lm_weight,
                         const at::Tensor& targets, const at::Tensor& domain,
                         const at::Tensor& token_weights = {}, const at::Tensor& token_nll = {},
                         const kernels::SoftTargets* soft = nullptr);

  /// New weights for the next forward pass. Throws: c10::ValueError unless one a domain, >= 0.
  void set_weights(const std::vector<double>& values);

  DomainWeightedLossOptions options;
  at::Tensor weights;

 private:
  at::Tensor combine(const at::Tensor& targets, const at::Tensor& domain,
                     const at::Tensor& token_weights, at::ScalarType dtype) const;
};

/// Holder with shared ownership, as TORCH_MODULE makes it, that also takes its options in braces:
/// DomainWeightedLoss loss({.weights = {1, 2}}).
class DomainWeightedLoss : public torch::nn::ModuleHolder<DomainWeightedLossImpl> {
 public:
  using torch::nn::ModuleHolder<DomainWeightedLossImpl>::ModuleHolder;
  using Impl = DomainWeightedLossImpl;
  explicit DomainWeightedLoss(DomainWeightedLossOptions options)
      : ModuleHolder(std::make_shared<Impl>(std::move(options))) {}
};

}  // namespace hone::loss
