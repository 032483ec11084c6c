/// Rotary position embeddings and the scalings that stretch them.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "hone/core/names.h"
#include "hone/kernels/sequences.h"

namespace hone::nn {

enum class RopeType { kDefault, kLinear, kDynamic, kLlama3, kYarn };

/// What yarn's key attn_factor means (R1-0528-Qwen3-8B carries it): transformers reads only
/// attention_factor and ignores it; vLLM multiplies cos and sin by it.
enum class AttnFactorRule { kIgnored, kMultiplies };

/// Angles of one position: position * theta^(-2i/head_dim), i < head_dim / 2, as scaled by `type`.
/// Source: transformers' modeling_rope_utils, whose names the fields have.
struct RotaryOptions {
  int64_t head_dim = 0;
  double theta = 10000;
  RopeType type = RopeType::kDefault;
  double factor = 1;
  int64_t max_positions = 0;       ///< max_position_embeddings
  int64_t original_positions = 0;  ///< original_max_position_embeddings, or max_positions
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  double beta_fast = 32, beta_slow = 1;              // yarn
  std::optional<double> attention_factor, attn_factor, mscale, mscale_all_dim;
  bool truncate = true;
  AttnFactorRule attn_factor_rule = AttnFactorRule::kIgnored;
};

/// What DeepSeek's latent attention multiplies its scores by where yarn stretches positions: the
/// square of 0.1 mscale_all_dim ln(factor) + 1; 1 without mscale_all_dim, or another type.
double yarn_softmax_factor(const RotaryOptions& options);

/// Makes the tables that kernels::apply_rotary takes.
class Rotary {
 public:
  explicit Rotary(const RotaryOptions& options);

  /// cos and sin [T, head_dim] of positions [T] int64, in `dtype`, on their device; both halves
  /// equal. Angles are float32. dynamic: each document is stretched by its own length, so that
  /// packing changes nothing (transformers takes the longest of the batch).
  std::pair<at::Tensor, at::Tensor> tables(const at::Tensor& positions,
                                           const kernels::Sequences& segments,
                                           at::ScalarType dtype) const;

  /// Frequencies [head_dim / 2] float32 on the CPU for documents of `length` positions.
  at::Tensor frequencies(int64_t length) const;

  /// What cos and sin are multiplied by; 1 but for yarn.
  double attention_scale() const { return attention_scale_; }

  const RotaryOptions options;

 private:
  at::Tensor angles(const at::Tensor& positions, const kernels::Sequences& segments) const;

  at::Tensor frequencies_;  // for documents within max_positions
  double attention_scale_ = 1;
};

}  // namespace hone::nn

template <>
struct hone::EnumNames<hone::nn::RopeType> {
  static constexpr std::pair<nn::RopeType, const char*> values[] = {
      {nn::RopeType::kDefault, "default"},
      {nn::RopeType::kLinear, "linear"},
      {nn::RopeType::kDynamic, "dynamic"},
      {nn::RopeType::kLlama3, "llama3"},
      {nn::RopeType::kYarn, "yarn"}};
};
