/// One block of a dense decoder.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "hone/nn/attention.h"
#include "hone/nn/gate.h"
#include "hone/nn/mlp.h"
#include "hone/nn/norm.h"

namespace hone::nn {

struct DecoderBlockOptions {
  AttentionOptions attention;
  MlpOptions mlp;
  double norm_eps = 1e-6;
};

/// h = x + drop(self_attn(input_layernorm(x))); h + drop(mlp(post_attention_layernorm(h))).
/// x [T, D] -> [T, D]. drop is dropout in training mode and nothing else: Vaswani et al. 2017, 5.4,
/// "residual dropout". Attention runs fused with it, unlike with dropout of its weights.
class DecoderBlockImpl : public torch::nn::Module {
 public:
  DecoderBlockImpl(const DecoderBlockOptions& options, const at::TensorOptions& tensor_options);

  at::Tensor forward(const at::Tensor& x, const AttentionContext& context);

  /// Gives the block as a whole a gate of one unit, unless it has one. Off, the block is h = x and
  /// computes nothing (unless it is measured); its parameters then get no gradient.
  void add_gate();

  double branch_dropout = 0;  ///< in [0, 1), of what both branches add
  Attention self_attn{nullptr};
  Mlp mlp{nullptr};
  RmsNorm input_layernorm{nullptr}, post_attention_layernorm{nullptr};
  Gate gate{nullptr};  ///< null before add_gate()
};
TORCH_MODULE(DecoderBlock);

}  // namespace hone::nn
