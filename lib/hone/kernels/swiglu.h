/// The activation of a gated MLP, with the rounding of transformers.
#pragma once
#include <ATen/core/Tensor.h>

#include <limits>

namespace hone::kernels {

/// The limit of a gated MLP that clamps nothing.
constexpr double kNoLimit = std::numeric_limits<double>::infinity();

/// silu(min(gate, limit)) * clamp(up, -limit, limit), both [..., I]; limit > 0. Beyond the limit
/// gradients are 0. Throws: c10::ValueError naming shapes that differ.
/// Source: the limit (swiglu_limit) is DeepSeek-V4's.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up, double limit = kNoLimit);

}  // namespace hone::kernels
