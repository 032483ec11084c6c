#include "hone/kernels/rotary.h"

#include <torch/autograd.h>
#include <torch/types.h>

#include "hone/kernels/cpu/rotary.h"
#include "hone/kernels/dispatch.h"

// Legend of suffixes: t positions, h heads, e head width.
namespace hone::kernels {
namespace {

at::Tensor rotated(const at::Tensor& x_the, const at::Tensor& cos_te, const at::Tensor& sin_te,
                   bool back) {
  const bool heads_adjoin = x_the.stride(2) == 1 && x_the.stride(1) == x_the.size(2);
  const at::Tensor x = heads_adjoin ? x_the : x_the.contiguous();
  at::Tensor y = at::empty(x.sizes(), x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "apply_rotary", [&] {
    run_rows(RotaryRows<scalar_t>{.heads = x.size(1),
                                  .width = x.size(2),
                                  .stride = x.stride(0),
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
                            const at::Tensor& cos, const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return rotated(x, cos, sin, /*back=*/false);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    return {rotated(grads[0], saved[0], saved[1], /*back=*/true), {}, {}};
  }
};

}  // namespace

at::Tensor apply_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  TORCH_CHECK_VALUE(x.dim() == 3 && cos.dim() == 2 && cos.size(0) == x.size(0) &&
                        cos.size(1) == x.size(2) && cos.sizes() == sin.sizes(),
                    "apply_rotary: x [T, H, E] = ", x.sizes(), " needs cos and sin [T, E], got ",
                    cos.sizes(), " and ", sin.sizes());
  TORCH_CHECK_VALUE(x.size(2) % 2 == 0, "apply_rotary: E must be even, got ", x.size(2));
  const auto composite = [&]() -> at::Tensor {
    const auto halves = x.chunk(2, -1);
    const at::Tensor turned = at::cat({-halves[1], halves[0]}, -1);
    return x * cos.unsqueeze(1) + turned * sin.unsqueeze(1);
  };
  return dispatch(
      {x, cos, sin}, [&] { return Rotary::apply(x, cos.contiguous(), sin.contiguous()); },
      composite);
}

}  // namespace hone::kernels
