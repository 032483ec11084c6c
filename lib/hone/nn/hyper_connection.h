/// Residual connections of several streams (manifold-constrained hyper-connections).
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "hone/nn/anatomy.h"
#include "hone/nn/branch.h"

namespace hone::nn {

struct HyperConnectionOptions {
  int64_t dim = 0;          ///< D, of a stream
  int64_t streams = 4;      ///< m
  int64_t iterations = 20;  ///< of kernels::sinkhorn
  double eps = 1e-6;        ///< that it and the weights of the streams have
  double norm_eps = 1e-6;   ///< of the norm of what weighs them
};

/// What a branch of a block is connected by where the residual is m streams x [T, m, D]. With
/// z = fn flat(x) / rms(flat(x)) in three parts of m, m and m m numbers, each times its scale
/// and with its base added:
///
///   in[t]   = sum_j pre_j x[t, j],                            pre  = sigmoid(z1) + eps
///   y[t, k] = post_k branch(in)[t] + sum_j comb[j, k] x[t, j],  post = 2 sigmoid(z2),
///                                                             comb = sinkhorn(z3)
///
/// Shapes: fn [(2 + m) m, m D], base [(2 + m) m], scale [3], float32 (float64 in float64 models)
/// beside any activations; what weighs the streams is computed in it.
/// Source: DeepSeek-V4, section 2.2 (Xie et al. 2026). Parity: transformers'
///   DeepseekV4HyperConnection.
class HyperConnectionImpl : public torch::nn::Module, public TellsTensors {
 public:
  HyperConnectionImpl(const HyperConnectionOptions& options,
                      const at::TensorOptions& tensor_options);

  /// x [T, m, D], and a function [T, D] -> [T, D] -> y [T, m, D].
  at::Tensor forward(const at::Tensor& x,
                     const std::function<at::Tensor(const at::Tensor&)>& branch);

  std::vector<ModuleTensor> own_tensors() const override;
  /// What it holds beside the branch.
  Footprint footprint(const StepShape& step) const;

  HyperConnectionOptions options;
  at::Tensor fn, base, scale;
};
TORCH_MODULE(HyperConnection);

/// One vector a token of m streams: x [T, m, D] -> sum_j w_j x[t, j] [T, D],
///   w = sigmoid(hc_scale fn flat(x) / rms(flat(x)) + hc_base) + eps.
/// Shapes: hc_fn [m, m D], hc_base [m], hc_scale [1]; types as above.
/// Source: the same. Parity: transformers' DeepseekV4HyperHead.
class HyperHeadImpl : public torch::nn::Module, public TellsTensors {
 public:
  HyperHeadImpl(const HyperConnectionOptions& options, const at::TensorOptions& tensor_options);

  at::Tensor forward(const at::Tensor& x);

  std::vector<ModuleTensor> own_tensors() const override;
  /// Numbers a token that a step keeps.
  int64_t saved(const StepShape& step) const;

  HyperConnectionOptions options;
  at::Tensor hc_fn, hc_base, hc_scale;
};
TORCH_MODULE(HyperHead);

}  // namespace hone::nn
