/// Causal attention over ragged documents.
#pragma once
#include <ATen/core/Tensor.h>

#include "hone/kernels/sequences.h"

namespace hone::kernels {

/// out[t] = softmax(scale * q[t] k[0..t]) v over the positions of t's own document up to t.
///
/// Shapes: q [T, H, E]; k [T, K, E]; v [T, K, F], H a multiple of K: query heads h * H/K ... share
/// key head h; result [T, H, F], of q's dtype. Differentiable in all three.
/// `dropout_p` drops attention weights, drawn from the default generator.
/// Throws: c10::ValueError naming the argument and its shape.
/// Source: LibTorch's scaled_dot_product_attention. Documents of similar length run as one padded
/// causal batch, in which padding comes after every real query and so needs no mask. Where E and F
/// differ, the narrower is filled with zeros: its fused kernels know one width only.
at::Tensor varlen_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const Sequences& segments, double scale, double dropout_p = 0);

}  // namespace hone::kernels
