#include "hone/kernels/rotary.h"

#include <torch/autograd.h>
#include <torch/types.h>

#include "hone/kernels/cpu/rotary.h"
#include "hone/kernels/dispatch.h"

// Legend of suffixes: t positions, h heads, w head width, e rotated width.
namespace hone::kernels {
namespace {

at::Tensor rotated(const at::Tensor& x_thw, const at::Tensor& cos_te, const at::Tensor& sin_te,
                   RotaryPairs pairs, bool back) {
  const bool heads_adjoin = x_thw.stride(2) == 1 && x_thw.stride(1) == x_thw.size(2);
  const at::Tensor x = heads_adjoin ? x_thw : x_thw.contiguous();
  at::Tensor y = at::empty(x.sizes(), x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "apply_rotary", [&] {
    run_rows(RotaryRows<scalar_t>{.heads = x.size(1),
                                  .width = x.size(2),
                                  .rotated = cos_te.size(1),
                                  .stride = x.stride(0),
                                  .adjoining = pairs == RotaryPairs::kAdjoining,
                                  .back = back,
                                  .x = read<scalar_t>(x),
                                  .cos = read<scalar_t>(cos_te),
                                  .sin = read<scalar_t>(sin_te),
                                  .y = y.mutable_data_ptr<scalar_t>()},
             x.size(0), row_grain(x.size(1) * x.size(2)));
  });
  return y;
}

class Rotary : public torch::autograd::Function<Rotary> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& cos, const at::Tensor& sin, RotaryPairs pairs) {
    context->save_for_backward({cos, sin});
    context->saved_data["pairs"] = static_cast<int64_t>(pairs);
    return rotated(x, cos, sin, pairs, /*back=*/false);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto pairs = static_cast<RotaryPairs>(context->saved_data["pairs"].toInt());
    return {rotated(grads[0], saved[0], saved[1], pairs, /*back=*/true), {}, {}, {}};
  }
};

/// The same by ATen's operations.
at::Tensor composite(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                     RotaryPairs pairs) {
  const int64_t width = x.size(2), rotated = cos.size(1);
  const at::Tensor last = x.slice(-1, width - rotated);
  at::Tensor y;
  if (pairs == RotaryPairs::kHalves) {
    const auto halves = last.chunk(2, -1);
    y = last * cos.unsqueeze(1) + at::cat({-halves[1], halves[0]}, -1) * sin.unsqueeze(1);
  } else {
    const at::Tensor c = cos.slice(1, 0, rotated / 2).unsqueeze(1);
    const at::Tensor s = sin.slice(1, 0, rotated / 2).unsqueeze(1);
    const at::Tensor even = last.slice(-1, 0, rotated, 2), odd = last.slice(-1, 1, rotated, 2);
    y = at::stack({even * c - odd * s, odd * c + even * s}, -1).flatten(-2);
  }
  return rotated == width ? y : at::cat({x.slice(-1, 0, width - rotated), y}, -1);
}

}  // namespace

at::Tensor apply_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                        RotaryPairs pairs) {
  TORCH_CHECK_VALUE(x.dim() == 3 && cos.dim() == 2 && cos.size(0) == x.size(0) &&
                        cos.size(1) <= x.size(2) && cos.sizes() == sin.sizes(),
                    "apply_rotary: x [T, H, W] = ", x.sizes(),
                    " needs cos and sin [T, E] with E <= W, got ", cos.sizes(), " and ",
                    sin.sizes());
  TORCH_CHECK_VALUE(cos.size(1) % 2 == 0, "apply_rotary: E must be even, got ", cos.size(1));
  return dispatch(
      {x, cos, sin}, [&] { return Rotary::apply(x, cos.contiguous(), sin.contiguous(), pairs); },
      [&] { return composite(x, cos, sin, pairs); });
}

}  // namespace hone::kernels
