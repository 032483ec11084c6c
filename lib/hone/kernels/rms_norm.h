/// Root mean square normalisation, with the rounding of transformers.
#pragma once
#include <ATen/core/Tensor.h>

namespace hone::kernels {

/// weight * cast(x / sqrt(mean(x^2, last) + eps)): statistics in float32 (float64 for float64), the
/// product after the cast back, as transformers' LlamaRMSNorm. x [..., D], weight [D].
/// Throws: c10::ValueError unless weight is [D].
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace hone::kernels
