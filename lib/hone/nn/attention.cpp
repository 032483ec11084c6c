#include "hone/nn/attention.h"

#include <torch/torch.h>

#include <cmath>

#include "hone/kernels/normalisation.h"
#include "hone/kernels/varlen_attention.h"

namespace hone::nn {

AttentionImpl::AttentionImpl(const AttentionOptions& options,
                             const at::TensorOptions& tensor_options)
    : options(options) {
  const AttentionOptions& o = options;
  TORCH_CHECK_VALUE(o.num_heads > 0 && o.num_kv_heads > 0 && o.num_heads % o.num_kv_heads == 0,
                    "Attention: num_kv_heads must divide num_heads, got ", o.num_kv_heads, " and ",
                    o.num_heads);
  const auto linear = [&](const char* name, int64_t in, int64_t out, bool bias) {
    return register_module(name, Linear(LinearOptions{in, out, bias}, tensor_options));
  };
  q_proj = linear("q_proj", o.dim, o.num_heads * o.head_dim, o.qkv_bias);
  k_proj = linear("k_proj", o.dim, o.num_kv_heads * o.head_dim, o.qkv_bias);
  v_proj = linear("v_proj", o.dim, o.num_kv_heads * o.head_dim, o.qkv_bias);
  o_proj = linear("o_proj", o.num_heads * o.head_dim, o.dim, o.output_bias);
  if (o.qk_norm) {
    q_norm = register_module("q_norm", RmsNorm(o.head_dim, o.norm_eps, tensor_options));
    k_norm = register_module("k_norm", RmsNorm(o.head_dim, o.norm_eps, tensor_options));
  }
}

at::Tensor AttentionImpl::forward(const at::Tensor& x, const AttentionContext& context) {
  const auto heads = [&](const at::Tensor& projected) {
    return projected.view({x.size(0), -1, options.head_dim});
  };
  at::Tensor q = heads(q_proj(x)), k = heads(k_proj(x));
  const at::Tensor v = heads(v_proj(x));
  if (options.qk_norm) {
    q = q_norm(q);
    k = k_norm(k);
  }
  q = kernels::apply_rotary(q, context.cos, context.sin);
  k = kernels::apply_rotary(k, context.cos, context.sin);
  const double scale = 1 / std::sqrt(static_cast<double>(options.head_dim));
  const at::Tensor mixed =
      context.cache
          ? kernels::cached_attention(q, k, v, context.segments, context.cache->places,
                                      context.cache->keys, context.cache->values, scale)
          : kernels::varlen_attention(q, k, v, context.segments, scale,
                                      is_training() ? options.dropout : 0.0);
  return o_proj(mixed.reshape({x.size(0), -1}));
}

}  // namespace hone::nn
