/// Causal self-attention with grouped key-value heads.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "hone/kernels/cached_attention.h"
#include "hone/kernels/sequences.h"
#include "hone/nn/gate.h"
#include "hone/nn/linear.h"
#include "hone/nn/norm.h"

namespace hone::nn {

struct AttentionOptions {
  int64_t dim = 0;           ///< D, of the residual stream
  int64_t num_heads = 0;     ///< H
  int64_t num_kv_heads = 0;  ///< K
  int64_t head_dim = 0;      ///< E
  bool qkv_bias = false;
  bool output_bias = false;
  bool qk_norm = false;  ///< RMS norm of each query and key head before the rotation
  double norm_eps = 1e-6;
  double dropout = 0;  ///< of the attention weights, in training mode
  /// [H], the key head of each query head; empty: consecutive H / K query heads share one.
  std::vector<int64_t> kv_head_of;
};

/// [H] the key head of each query head, or nothing where it is the regular map of K key heads, in
/// which consecutive H / K query heads share one.
std::vector<int64_t> uneven_kv_map(std::vector<int64_t> kv_head_of, int64_t kv_heads);

/// One layer's kept keys and values (model/kv_cache.h), written in place by the pass.
struct LayerCache {
  at::Tensor keys, values;  ///< [R, S, K, E], or H for K where AttentionImpl::cached_heads says so
  kernels::CachePlaces places;
};

/// What all blocks of one forward pass share, but for the cache, which is a layer's own.
struct AttentionContext {
  kernels::Sequences segments;
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

  struct Heads {
    at::Tensor q, k, v;  ///< [T, H, E]; [T, cached_heads(), E] twice
  };
  /// What attention takes in: the heads of x [T, D], normed, rotated unless cos is undefined.
  Heads heads(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);
  /// What becomes of what attention gives, [T, H, E] -> [T, D]: the gate and o_proj.
  at::Tensor output(const at::Tensor& mixed);

  /// Gives the H heads a gate, on what o_proj takes in, unless they have one.
  void add_gate();
  /// Cuts all heads but these, ascending positions among the present ones: rows of q_proj, columns
  /// of o_proj (LinearImpl::keep_rows and keep_columns), and rows of k_proj and v_proj of key heads
  /// that no query head is left for.
  std::vector<Cut> cut_heads(const std::vector<int64_t>& keep);

  /// Key heads that a cache keeps of this layer: K, but H where the query heads of the key heads
  /// are uneven in number, since keys and values are then repeated for each.
  int64_t cached_heads() const;
  /// The key head of query head `head`.
  int64_t kv_head(int64_t head) const;

  AttentionOptions options;  ///< num_heads, num_kv_heads and kv_head_of change with a cut
  Linear q_proj{nullptr}, k_proj{nullptr}, v_proj{nullptr}, o_proj{nullptr};
  RmsNorm q_norm{nullptr}, k_norm{nullptr};  ///< null without qk_norm
  Gate gate{nullptr};                        ///< null before add_gate()

 private:
  /// Takes the map, as none where it is the regular one.
  void set_kv_map(std::vector<int64_t> kv_head_of);

  at::Tensor kv_map_;  // [H] int64, of an uneven map
};
TORCH_MODULE(Attention);

}  // namespace hone::nn
