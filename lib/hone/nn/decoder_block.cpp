#include "hone/nn/decoder_block.h"

#include <torch/types.h>

#include <optional>

#include "hone/nn/detail/cutting.h"
#include "hone/nn/detail/generators.h"

namespace hone::nn {

DecoderBlockImpl::DecoderBlockImpl(const DecoderBlockOptions& options,
                                   const at::TensorOptions& tensor_options) {
  const int64_t dim = options.attention.dim;
  const auto norm = [&] { return RmsNorm(dim, options.norm_eps, tensor_options); };
  input_layernorm = register_module("input_layernorm", norm());
  self_attn = register_module("self_attn", Attention(options.attention, tensor_options));
  post_attention_layernorm = register_module("post_attention_layernorm", norm());
  mlp = register_module("mlp", Mlp(options.mlp, tensor_options));
}

at::Tensor DecoderBlockImpl::forward(const at::Tensor& x, const AttentionContext& context) {
  const bool off = gate && gate->alive() == 0;
  if (off && !gate->measuring()) return x;
  // Off, its dropout must draw nothing from what the others draw from: measuring changes no run.
  std::optional<detail::GeneratorStates> generators;
  if (off) generators.emplace(x.device());
  const auto drop = [this](const at::Tensor& branch) {
    return is_training() && branch_dropout > 0 ? at::dropout(branch, branch_dropout, true) : branch;
  };
  const at::Tensor h = x + drop(self_attn(input_layernorm(x), context));
  const at::Tensor y = h + drop(mlp(post_attention_layernorm(h)));
  if (off) generators->restore();
  return gate ? gate(y.unsqueeze(1), x.unsqueeze(1)).squeeze(1) : y;
}

void DecoderBlockImpl::add_gate() { detail::add_gate(*this, gate, 1); }

}  // namespace hone::nn
