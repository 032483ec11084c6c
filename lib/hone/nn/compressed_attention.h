/// DeepSeek-V4's attention: a sliding window, and compressed entries for what lies before it.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "hone/kernels/window_attention.h"
#include "hone/nn/branch.h"
#include "hone/nn/compressed_indexer.h"
#include "hone/nn/compressor.h"
#include "hone/nn/indexer.h"
#include "hone/nn/linear.h"
#include "hone/nn/norm.h"
#include "hone/nn/rotary.h"

namespace hone::nn {

struct CompressedAttentionOptions {
  int64_t hidden_size = 0;  ///< D, of the residual stream
  int64_t num_heads = 0;    ///< H
  int64_t head_dim = 0;     ///< E, of queries and of what is key and value at once
  int64_t q_rank = 0;       ///< of q_a_proj
  int64_t o_groups = 0;     ///< G, of consecutive heads, equal in number
  int64_t o_rank = 0;       ///< of a group's part of o_a_proj
  int64_t window = 0;       ///< positions that a query sees itself, its own included
  int64_t ratio = 0;        ///< positions to a compressed entry; 0: there are none
  /// Of entries: with chosen > 0 they overlap and a query sees the best of them alone; else they
  /// do not, and it sees all.
  IndexerOptions index;
  double norm_eps = 1e-6;
  double dropout = 0;  ///< of the attention weights, in training mode
  /// Of this layer, since those with entries turn otherwise than those without; of its head_dim
  /// numbers, the last of each E. Not dynamic.
  RotaryOptions rope;
};

/// The groups' matrices of the output projection, [G r, in] one below the other:
/// x [T, G, in] -> [T, G r], group by group. No adapter: PEFT's has no form for it.
class GroupedLinearImpl : public torch::nn::Module {
 public:
  GroupedLinearImpl(int64_t in, int64_t out, int64_t groups,
                    const at::TensorOptions& tensor_options);

  at::Tensor forward(const at::Tensor& x);

  at::Tensor weight;
  int64_t groups;
};
TORCH_MODULE(GroupedLinear);

/// q = rms(q_b_proj(r)) with r = q_a_norm(q_a_proj(x)), head by head and without a weight;
/// kv = kv_norm(kv_proj(x)), one head that is key and value of all; both rotated in their last
/// numbers, adjoining pairs. Each query attends to the last `window` positions of its document and
/// to entries that the compressor makes of all of them (nn/compressor.h), with a logit of its head
/// in the softmax's denominator (kernels/window_attention.h). What comes is rotated back by the
/// query's position, since the values were rotated: o_b_proj(o_a_proj(unrot(...))).
///
/// Windows, entries and positions begin anew in each document. Positions and their angles are this
/// layer's: the context's cos and sin are not read, its segments and cache say what they need.
/// Shapes: x [T, D] -> [T, D]. Gradient and dropout: only without a cache; none to the indexer's
///   tensors, which are buffers.
/// It has no units that a gate could switch: a cut of heads would have to take as many columns of
///   each group of o_a_proj, another set in each.
/// Cache: of each position kv, E numbers; where there are entries E / ratio of them and 2 E more
///   for what is yet to be compressed, 4 E where they overlap; and the indexer's alike, for
///   index.width. Any prefix of it can be gone on from.
/// Cost: no scores but those of blocks (window_attention); of the indexer [L, C] for a document of
///   L positions and C entries, which are masked and not gathered.
/// Source: DeepSeek-V4, section 2.3. Parity: transformers' DeepseekV4Attention, whose names the
///   tensors have (tests/parity/compressed_attention.py). As there, and otherwise than in
///   DeepSeek's own code, kv is not rounded to float8 on the way. Otherwise than in both, norms
///   round before their weight, as all of hone's (kernels/rms_norm.h): it shows in half types
///   alone.
class CompressedAttentionImpl : public MixerImpl, public TellsTensors {
 public:
  /// Throws: c10::ValueError naming what does not fit together.
  CompressedAttentionImpl(const CompressedAttentionOptions& options,
                          const at::TensorOptions& tensor_options);

  at::Tensor forward(const at::Tensor& x, const AttentionContext& context) override;

  int64_t units() const override { return 0; }
  std::vector<UnitAxis> axes() const override { return {}; }
  Footprint footprint(const StepShape& step) const override;
  /// 2 for each weight, 4 for each number of a head and position of the window or entry.
  int64_t flops(int64_t positions) const override;
  CacheShape cache_shape() const override;

  std::vector<ModuleTensor> own_tensors() const override;

  CompressedAttentionOptions options;
  Linear q_a_proj{nullptr}, q_b_proj{nullptr}, kv_proj{nullptr}, o_b_proj{nullptr};
  RmsNorm q_a_norm{nullptr}, kv_norm{nullptr};
  GroupedLinear o_a_proj{nullptr};
  at::Tensor sinks;                    ///< [H], begin at 0
  Compressor compressor{nullptr};      ///< null without entries
  CompressedIndexer indexer{nullptr};  ///< a child of the compressor's; null where all are seen

 private:
  void units_cut(const std::vector<int64_t>&) override {}
  kernels::WindowOptions window() const;

  Rotary rotary_;
};
TORCH_MODULE(CompressedAttention);

}  // namespace hone::nn
