/// The small operations of a decoder block, with the rounding of transformers.
#pragma once
#include <ATen/core/Tensor.h>

namespace hone::kernels {

/// weight * cast(x / sqrt(mean(x^2, last) + eps)): statistics in float32 (float64 for float64), the
/// product after the cast back, as transformers' LlamaRMSNorm. x [..., D], weight [D].
/// Throws: c10::ValueError unless weight is [D].
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// Rotates pairs (i, i + E/2) of each head by the position's angles (half-split layout).
/// x [T, H, E]; cos, sin [T, E] as transformers lays them out (both halves equal).
/// Throws: c10::ValueError naming the shapes.
at::Tensor apply_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

/// silu(gate) * up, both [T, I].
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace hone::kernels
