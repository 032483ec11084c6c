/// The choice of the past positions that a query sees (DeepSeek sparse attention).
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "hone/nn/anatomy.h"
#include "hone/nn/branch.h"

namespace hone::nn {

struct IndexerOptions {
  int64_t heads = 0;   ///< I
  int64_t width = 0;   ///< W, of a head; its first numbers are rotated, as many as cos has
  int64_t chosen = 0;  ///< positions that a query sees at most; 0: no indexer, it sees all
};

/// A weight of the checkpoint, and its bias if it has one, that nothing trains.
class FrozenImpl : public torch::nn::Module, public TellsTensors {
 public:
  FrozenImpl(const std::vector<int64_t>& shape, bool bias, std::optional<double> start,
             const at::TensorOptions& tensor_options);

  /// x [T, in] -> [T, out] by a weight that is a matrix, without the bias; unrounded products.
  at::Tensor forward(const at::Tensor& x) const;

  std::vector<ModuleTensor> own_tensors() const override;

  at::Tensor weight, bias;

 private:
  std::optional<double> start_;
};
TORCH_MODULE(Frozen);

/// For each query the `chosen` keys of those seen whose scores are best, all where they are no
/// more: score of key j for query i is sum_h weights_ih relu(q_ih k_j / sqrt(W)).
/// q [L, I, W], k [P, W], weights [L, I]; seen [L, P] bool and the result alike. No graph.
at::Tensor best_seen(const at::Tensor& q, const at::Tensor& k, const at::Tensor& weights,
                     const at::Tensor& seen, int64_t chosen);

/// The choice by best_seen(), in float32, with weights = weights_proj(x) / sqrt(I),
/// q = wq_b(narrow) and k = k_norm(wk(x)); what is chosen is seen by all heads of the attention. No
/// gradient passes through the choice, so that its tensors are buffers.
/// Source: DeepSeek-V3.2, section 2.1. Parity: transformers' DeepseekV32Indexer, which rotates
///   halves, and has neither Hadamard's transform nor float8 scores.
class IndexerImpl : public torch::nn::Module {
 public:
  IndexerImpl(const IndexerOptions& options, int64_t dim, int64_t narrow,
              const at::TensorOptions& tensor_options);

  /// x [T, D], narrow [T, query rank] -> for each document of L positions behind P - L that a cache
  /// holds a mask [L, P], true where it is seen; empty where all see all of their past.
  /// A cache's second tensor is given k, [1, W] a position.
  std::vector<at::Tensor> forward(const at::Tensor& x, const at::Tensor& narrow,
                                  const AttentionContext& context);

  /// Operations of a token's forward pass that scores `positions`.
  int64_t flops(int64_t positions) const;

  IndexerOptions options;
  Frozen wq_b{nullptr}, wk{nullptr}, k_norm{nullptr}, weights_proj{nullptr};
};
TORCH_MODULE(Indexer);

}  // namespace hone::nn
