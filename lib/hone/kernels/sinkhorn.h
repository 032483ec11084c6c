/// The mixing matrices of hyper-connections.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace hone::kernels {

/// Matrices whose rows and columns sum to about 1: a = softmax(logits, -1) + eps; then each column
/// over its sum + eps; then `iterations` - 1 times each row, and each column, likewise.
///
/// logits [..., m, m] -> the same; iterations > 0. For its backward pass it keeps the logits alone.
/// Throws: c10::ValueError naming the shape. Source: Sinkhorn and Knopp 1967, as DeepSeek-V4 has
/// it (section 2.2).
at::Tensor sinkhorn(const at::Tensor& logits, int64_t iterations, double eps);

}  // namespace hone::kernels
