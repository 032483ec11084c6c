/// The choice of the past positions that a query sees (DeepSeek sparse attention).
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "hone/nn/anatomy.h"
#include "hone/nn/branch.h"
#include "hone/nn/index_learning.h"

namespace hone::nn {

struct IndexerOptions {
  int64_t heads = 0;   ///< I
  int64_t width = 0;   ///< W, of a head; its first numbers are rotated, as many as cos has
  int64_t chosen = 0;  ///< positions that a query sees at most; 0: no indexer, it sees all
};

/// A weight of the checkpoint, and its bias if it has one. They are no parameters of the module:
/// they train only where an indexer learns.
class IndexLayerImpl : public torch::nn::Module, public TellsTensors {
 public:
  IndexLayerImpl(const std::vector<int64_t>& shape, bool bias, std::optional<double> start,
                 const at::TensorOptions& tensor_options);

  /// x [T, in] -> [T, out] by a weight that is a matrix, without the bias; unrounded products.
  at::Tensor forward(const at::Tensor& x) const;

  std::vector<ModuleTensor> own_tensors() const override;

  at::Tensor weight, bias;

 private:
  std::optional<double> start_;
};
TORCH_MODULE(IndexLayer);

/// For each query the `chosen` keys of those seen whose scores (kernels::index_scores) are best,
/// all where they are no more. q [L, I, W], k [P, W], weights [L, I]; seen [L, P] bool and the
/// result alike. No graph.
at::Tensor best_seen(const at::Tensor& q, const at::Tensor& k, const at::Tensor& weights,
                     const at::Tensor& seen, int64_t chosen);

/// Scores of position j for query i, sum_h w_ih relu(q_ih k_j / sqrt(W)), in float32, with
/// w = weights_proj(x) / sqrt(I), q = wq_b(narrow) and k = k_norm(wk(x)); the best are seen by all
/// heads of the attention, of equal ones the first.
/// No gradient passes through the choice, and none of what the indexer learns by to x and narrow.
/// It learns where set_learning() says so: kernels::index_loss of its scores and what the heads
/// look at, kept for take_loss().
/// Source: DeepSeek-V3.2, section 2.1. Parity: transformers' DeepseekV32Indexer, which rotates
///   halves, and has neither Hadamard's transform nor float8 scores; the loss over its formulas
///   (tests/parity/index_learning.py).
class IndexerImpl : public torch::nn::Module {
 public:
  /// What all heads together look at in a document: [L, L], of the positions that `seen` [L, L]
  /// bool lets through, the sum of each row 1; without a graph.
  using Attended = std::function<at::Tensor(int64_t document, const at::Tensor& seen)>;

  IndexerImpl(const IndexerOptions& options, int64_t dim, int64_t narrow,
              const at::TensorOptions& tensor_options);

  /// x [T, D], narrow [T, query rank] -> for each document of L positions behind P - L that a cache
  /// holds a mask [L, P], true where it is seen; empty where all see all of their past.
  /// A cache's second tensor is given k, [1, W] a position. `attended` is asked where it learns.
  std::vector<at::Tensor> forward(const at::Tensor& x, const at::Tensor& narrow,
                                  const AttentionContext& context,
                                  const Attended& attended = nullptr);

  void set_learning(IndexLearning learning);
  /// The sum of the losses of all queries of the passes in training mode since the last call, with
  /// its graph, and how many these were; undefined and 0 where there was none.
  std::pair<at::Tensor, int64_t> take_loss();

  /// What learning holds of a step beside the attention.
  Footprint footprint(const StepShape& step) const;
  /// Operations of a token's forward pass that scores `positions`.
  int64_t flops(int64_t positions) const;

  IndexerOptions options;
  IndexLayer wq_b{nullptr}, wk{nullptr}, k_norm{nullptr}, weights_proj{nullptr};

 private:
  IndexLearning learning_ = IndexLearning::kOff;
  at::Tensor loss_;
  int64_t queries_ = 0;
};
TORCH_MODULE(Indexer);

}  // namespace hone::nn
