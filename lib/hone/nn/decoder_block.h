/// One block of a decoder.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "hone/nn/branch.h"
#include "hone/nn/gate.h"
#include "hone/nn/hyper_connection.h"

namespace hone::nn {

struct DecoderBlockOptions;

/// Of any block, by the names that they get in it.
struct DecoderBlockParts {
  Norm input_layernorm{nullptr};
  Mixer self_attn{nullptr};
  Norm post_attention_layernorm{nullptr};
  FeedForward mlp{nullptr};
  HyperConnection attn_hc{nullptr}, ffn_hc{nullptr};  ///< both or neither
};

/// h = x + drop(self_attn(input_layernorm(x))); h + drop(mlp(post_attention_layernorm(h))).
/// x [T, D] -> [T, D]; with hyper-connections, which take the place of both sums, [T, m, D] of m
/// streams. drop is dropout in training mode and nothing else: Vaswani et al. 2017, 5.4,
/// "residual dropout". Attention runs fused with it, unlike with dropout of its weights.
class DecoderBlockImpl : public torch::nn::Module {
 public:
  /// `dim` is D.
  DecoderBlockImpl(int64_t dim, const DecoderBlockParts& parts);
  /// Of Attention and Mlp behind RMS norms (nn/dense_block.h).
  DecoderBlockImpl(const DecoderBlockOptions& options, const at::TensorOptions& tensor_options);

  at::Tensor forward(const at::Tensor& x, const AttentionContext& context);

  /// Gives the block as a whole a gate of one unit, unless it has one. Off, the block is h = x and
  /// computes nothing (unless it is measured); its parameters then get no gradient.
  void add_gate();

  /// Of self_attn and mlp in turn, each with its norm and connection.
  std::vector<Footprint> footprints(const StepShape& step) const;
  /// Numbers a token that it takes in and gives.
  int64_t width() const { return attn_hc ? dim_ * attn_hc->options.streams : dim_; }

  double branch_dropout = 0;  ///< in [0, 1), of what both branches add
  Mixer self_attn{nullptr};
  FeedForward mlp{nullptr};
  Norm input_layernorm{nullptr}, post_attention_layernorm{nullptr};
  HyperConnection attn_hc{nullptr}, ffn_hc{nullptr};  ///< null: the residual is a sum
  Gate gate{nullptr};                                 ///< null before add_gate()

 private:
  int64_t dim_;
};
TORCH_MODULE(DecoderBlock);

}  // namespace hone::nn
