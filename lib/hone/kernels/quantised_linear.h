/// Linear layers whose weights, and perhaps inputs, are integers.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include "hone/kernels/quantise.h"

namespace hone::kernels {

/// x w^T + bias over integers, [m, n] float32: the sum over k of x.values and w.values is exact,
/// and each result is float(sum) * x.scale * w.scale + bias, in this order. x [m, k], w [n, k],
/// bias [n] or undefined, k <= 131071. No graph. Values of -128 are allowed. Before a CPU's
/// instructions are used they are held to whole numbers on a sample; wrong ones are passed over,
/// with a warning.
at::Tensor int8_product(const Int8Rows& x, const Int8Rows& w, const at::Tensor& bias = {});

/// Whether inputs are rounded too (to 8 bits, a scale a row), and how.
struct InputRounding {
  bool rounds = true;
  double divisor = kInt8Divisor;
};

/// x W^T + bias with W the numbers of `weight`, [m, n] of x's type: through int8_product where
/// inputs are rounded, whose weights have 8 bits and a scale a row. x [m, k], bias [n] or
/// undefined. `rounded`: x as quantise_rows makes it with this divisor, where that was done already
/// (for another layer of the same x); undefined otherwise, and of no use where inputs are not
/// rounded. Gradient: to x, as if x had not been rounded (straight through), and to bias.
/// Throws: c10::ValueError for rounded inputs with another format of weights.
at::Tensor quantised_linear(const at::Tensor& x, const QuantisedWeight& weight,
                            const at::Tensor& bias, const InputRounding& inputs,
                            const Int8Rows& rounded = {});

/// The same of a float `weight` [n, k] that is rounded as `format` says, for training: with Q what
/// rounding makes of a tensor, y = Q(x) Q(w)^T + bias, dx = dy Q(w), dw = dy^T Q(x). Keeps x as
/// integers where they are rounded. `scale_type`: of quantise_weight.
at::Tensor rounded_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                          const WeightFormat& format, const InputRounding& inputs,
                          at::ScalarType scale_type = at::kFloat, const Int8Rows& rounded = {});

}  // namespace hone::kernels
