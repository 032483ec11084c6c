/// Products with a weight matrix.
#pragma once
#include <ATen/core/Tensor.h>

namespace hone::kernels {

/// x W^T + b: x [T, D], weight [V, D], bias [V] or undefined -> [T, V]. at::linear, but for
/// decoding: without grad mode, a single row on the CPU in float32 or float64 by a weight of more
/// than 1 MiB is summed by our own loop, faster than MKL's (docs/benchmarks/generation.md) and
/// rounded differently. Gradient: at::linear's.
at::Tensor project(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

}  // namespace hone::kernels
