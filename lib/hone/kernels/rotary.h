/// Rotary position embedding, with the rounding of transformers.
#pragma once
#include <ATen/core/Tensor.h>

namespace hone::kernels {

/// Which numbers are turned together.
enum class RotaryPairs {
  kHalves,    ///< i and i + E/2: llama's, qwen's
  kAdjoining  ///< 2i and 2i + 1: DeepSeek's latent attention
};

/// Rotates the last E numbers of each head by the position's angles; those before stay.
/// x [T, H, W], W >= E; cos, sin [T, E] as transformers lays them out (both halves equal), without
/// gradient. Throws: c10::ValueError naming the shapes.
at::Tensor apply_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                        RotaryPairs pairs = RotaryPairs::kHalves);

}  // namespace hone::kernels
