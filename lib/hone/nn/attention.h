/// Causal self-attention with grouped key-value heads.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>

#include "hone/kernels/cached_attention.h"
#include "hone/kernels/segments.h"
#include "hone/nn/linear.h"
#include "hone/nn/norm.h"

namespace hone::nn {

struct AttentionOptions {
  int64_t dim = 0;           ///< D, of the residual stream
  int64_t num_heads = 0;     ///< H
  int64_t num_kv_heads = 0;  ///< K; consecutive H / K query heads share one
  int64_t head_dim = 0;      ///< E
  bool qkv_bias = false;
  bool output_bias = false;
  bool qk_norm = false;  ///< RMS norm of each query and key head before the rotation
  double norm_eps = 1e-6;
  double dropout = 0;  ///< of the attention weights, in training mode
};

/// One layer's kept keys and values (model/kv_cache.h), written in place by the pass.
struct LayerCache {
  at::Tensor keys, values;  ///< [R, S, K, E]
  kernels::CachePlaces places;
};

/// What all blocks of one forward pass share, but for the cache, which is a layer's own.
struct AttentionContext {
  kernels::Segments segments;
  at::Tensor cos, sin;                ///< [T, E], of the activations' dtype
  const LayerCache* cache = nullptr;  ///< null: documents begin in this pass, and none is kept
};

/// o_proj(softmax(rot(q) rot(k)^T / sqrt(E)) v) over each document's past, which includes what the
/// context's cache holds of it. Keys are kept rotated.
/// Shapes: x [T, D] -> [T, D]. Gradient and dropout: only without a cache.
class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(const AttentionOptions& options, const at::TensorOptions& tensor_options);

  at::Tensor forward(const at::Tensor& x, const AttentionContext& context);

  AttentionOptions options;
  Linear q_proj{nullptr}, k_proj{nullptr}, v_proj{nullptr}, o_proj{nullptr};
  RmsNorm q_norm{nullptr}, k_norm{nullptr};  ///< null without qk_norm
};
TORCH_MODULE(Attention);

}  // namespace hone::nn
