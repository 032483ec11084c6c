/// The one door of matrix products: of linear layers, adapters, the head and the loss.
#pragma once
#include <ATen/core/Tensor.h>

namespace hone::kernels {

/// To what the operands of these products are rounded where they are float32 tensors on the CPU.
///
/// kBfloat16: both operands to bfloat16 (8 bits of precision) for the product alone; sums and
/// results are float32, and so are the tensors themselves. Forward and backward alike. By the CPU's
/// own instructions where machine::multiplies_bfloat16(), up to 4.7 times as fast as float32
/// (docs/benchmarks/train_cpu.md); elsewhere with the same rounding and no gain.
enum class ProductType { kFloat32, kBfloat16 };

/// Of the whole process; kFloat32 unless set. Change it between steps only.
ProductType product_type();
void set_product_type(ProductType type);

/// x W^T + b: x [T, D], weight [V, D], bias [V] or undefined -> [T, V]. at::linear, to the bit, but
/// for products in bfloat16, whose gradient is once differentiable, and for decoding: without grad
/// mode, a single row on the CPU in float32 or float64 by a weight of more than 1 MiB is summed by
/// our own loop, unrounded, faster than MKL's (docs/benchmarks/generation.md).
at::Tensor project(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

/// base + scale x W^T: base [T, V], x [T, D], weight [V, D]. at::addmm, but in bfloat16.
at::Tensor add_projection(const at::Tensor& base, const at::Tensor& x, const at::Tensor& weight,
                          double scale);

/// a b and out = a b and sum += a b: a [M, K], b [K, N], out and sum [M, N] of one dtype; no graph.
at::Tensor product(const at::Tensor& a, const at::Tensor& b);
void product_out(at::Tensor& out, const at::Tensor& a, const at::Tensor& b);
void add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b);

}  // namespace hone::kernels
