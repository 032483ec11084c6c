/// Rotary position embedding, with the rounding of transformers.
#pragma once
#include <ATen/core/Tensor.h>

namespace hone::kernels {

/// Rotates pairs (i, i + E/2) of each head by the position's angles (half-split layout).
/// x [T, H, E]; cos, sin [T, E] as transformers lays them out (both halves equal), without
/// gradient. Throws: c10::ValueError naming the shapes.
at::Tensor apply_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace hone::kernels
