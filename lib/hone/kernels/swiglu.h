/// The activation of a gated MLP, with the rounding of transformers.
#pragma once
#include <ATen/core/Tensor.h>

namespace hone::kernels {

/// silu(gate) * up, both [..., I]. Throws: c10::ValueError naming shapes that differ.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace hone::kernels
