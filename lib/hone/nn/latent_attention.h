/// Multi-head latent attention: keys and values of all heads come of one narrow vector a position.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "hone/kernels/rotary.h"
#include "hone/nn/branch.h"
#include "hone/nn/indexer.h"
#include "hone/nn/linear.h"
#include "hone/nn/norm.h"

namespace hone::nn {

struct LatentAttentionOptions {
  int64_t dim = 0;         ///< D, of the residual stream
  int64_t num_heads = 0;   ///< H
  int64_t query_rank = 0;  ///< of q_a_proj; 0: queries come of x by q_proj
  int64_t latent = 0;      ///< C, width of what keys and values come of
  int64_t plain = 0;       ///< N, numbers of a query or key head that are not rotated
  int64_t rotary = 0;      ///< R, and those that are, behind them
  int64_t value = 0;       ///< V, width of a value head
  bool bias = false;       ///< of q_a_proj, kv_a_proj_with_mqa and o_proj
  double scale = 1;        ///< of the scores
  double dropout = 0;      ///< of the attention weights, in training mode
  kernels::RotaryPairs pairs = kernels::RotaryPairs::kAdjoining;
  IndexerOptions index;  ///< of the positions that are seen; with a query rank only
};

/// c, k_r = kv_a_proj_with_mqa(x); per head k_n, v = kv_b_proj(norm(c)), k = [k_n | rot(k_r)],
/// q = [q_n | rot(q_r)]; o_proj(softmax(scale q k^T) v) over each document's past.
///
/// Units are the H heads; the gate lies on what o_proj takes in. A cache keeps [norm(c) | rot(k_r)]
/// of a position, C + R numbers for all heads. Where it holds a past, queries are carried into
/// that space instead of keys out of it: the same up to rounding, as long as one head is narrower
/// than C + R numbers a position of the past.
/// With an indexer each query sees the positions alone that it chooses, and a cache keeps its keys
/// beside; the attention is computed of all of them, masked, one document after the other.
/// Shapes: x [T, D] -> [T, D]; the context's cos and sin [T, R]. Gradient and dropout: only without
/// a cache.
/// Source: DeepSeek-V2, section 2.1. Parity: transformers' DeepseekV2Attention and
///   DeepseekV3Attention, with an indexer DeepseekV32Attention (tests/parity/model_parity.py).
class LatentAttentionImpl : public MixerImpl {
 public:
  LatentAttentionImpl(const LatentAttentionOptions& options,
                      const at::TensorOptions& tensor_options);

  at::Tensor forward(const at::Tensor& x, const AttentionContext& context) override;

  int64_t units() const override { return options.num_heads; }
  std::vector<UnitAxis> axes() const override;
  Footprint footprint(const StepShape& step) const override;
  /// And 2 for each number of a head's key and value and position; and the indexer's.
  int64_t flops(int64_t positions) const override;
  CacheShape cache_shape() const override;

  LatentAttentionOptions options;  ///< num_heads falls with a cut
  Linear q_proj{nullptr};          ///< without a query rank; else the three that follow
  Linear q_a_proj{nullptr}, q_b_proj{nullptr};
  RmsNorm q_a_layernorm{nullptr};
  Linear kv_a_proj_with_mqa{nullptr}, kv_b_proj{nullptr}, o_proj{nullptr};
  RmsNorm kv_a_layernorm{nullptr};
  Indexer indexer{nullptr};  ///< null: queries see all of their past

 private:
  void units_cut(const std::vector<int64_t>& keep) override;
  /// [T, H, N + R] of what query_layer() makes.
  at::Tensor rotated_queries(const at::Tensor& q, const AttentionContext& context);
  /// norm(c) [T, C] and rot(k_r) [T, 1, R] of what kv_a_proj_with_mqa makes.
  std::pair<at::Tensor, at::Tensor> latents(const at::Tensor& both,
                                            const AttentionContext& context);
  /// Keys [T, H, N + R] and values [T, H, V] of latents.
  std::pair<at::Tensor, at::Tensor> expanded(const at::Tensor& latent, const at::Tensor& rotated);
  /// What heads see of a cache that holds a past: [T, H, V]. `seen` is what the indexer chose.
  at::Tensor absorbed(const at::Tensor& q, const std::vector<at::Tensor>& seen,
                      const AttentionContext& context);

  /// The layer that queries come out of.
  const Linear& query_layer() const { return q_proj ? q_proj : q_b_proj; }
};
TORCH_MODULE(LatentAttention);

}  // namespace hone::nn
