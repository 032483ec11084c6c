#include "hone/nn/decoder_block.h"

#include <torch/torch.h>

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
  const at::Tensor h = x + self_attn(input_layernorm(x), context);
  return h + mlp(post_attention_layernorm(h));
}

}  // namespace hone::nn
