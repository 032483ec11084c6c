/// Causal self-attention with grouped key-value heads.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "hone/nn/branch.h"
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

/// o_proj(softmax(rot(q) rot(k)^T / sqrt(E)) v) over each document's past, which includes what the
/// context's cache holds of it. Units are the H heads, in groups of one key head; the gate lies on
/// what o_proj takes in. A cache keeps rotated keys, and values, [cached_heads(), E] of each.
/// Shapes: x [T, D] -> [T, D]. Gradient and dropout: only without a cache.
class AttentionImpl : public MixerImpl {
 public:
  AttentionImpl(const AttentionOptions& options, const at::TensorOptions& tensor_options);

  at::Tensor forward(const at::Tensor& x, const AttentionContext& context) override;

  struct Heads {
    at::Tensor q, k, v;  ///< [T, H, E]; [T, cached_heads(), E] twice
  };
  /// What attention takes in: the heads of x [T, D], normed, rotated unless cos is undefined.
  Heads heads(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);
  /// What becomes of what attention gives, [T, H, E] -> [T, D]: the gate and o_proj.
  at::Tensor output(const at::Tensor& mixed);

  int64_t units() const override { return options.num_heads; }
  std::vector<int64_t> groups() const override;
  std::vector<UnitAxis> axes() const override;
  Footprint footprint(const StepShape& step) const override;
  /// And 4 for each number of a head and position. A shared projection counts in each layer.
  int64_t flops(int64_t positions) const override;
  CacheShape cache_shape() const override;

  /// Of q_proj and k_proj.
  void share_projections(MixerImpl& other) override;
  std::vector<ModuleTensor> borrowed() const override;
  void check_kept(const std::vector<int64_t>& keep) const override;

  /// Key heads that a cache keeps of this layer: K, but H where the query heads of the key heads
  /// are uneven in number, since keys and values are then repeated for each.
  int64_t cached_heads() const;
  /// The key head of query head `head`.
  int64_t kv_head(int64_t head) const;

  AttentionOptions options;  ///< num_heads, num_kv_heads and kv_head_of change with a cut
  Linear q_proj{nullptr}, k_proj{nullptr}, v_proj{nullptr}, o_proj{nullptr};
  RmsNorm q_norm{nullptr}, k_norm{nullptr};  ///< null without qk_norm

 private:
  void units_cut(const std::vector<int64_t>& keep) override;
  /// Takes the map, as none where it is the regular one.
  void set_kv_map(std::vector<int64_t> kv_head_of);

  at::Tensor kv_map_;                  // [H] int64, of an uneven map
  bool shares_ = false, owns_ = true;  // q_proj and k_proj
};
TORCH_MODULE(Attention);

}  // namespace hone::nn
