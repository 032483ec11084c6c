#include "hone/kernels/rms_norm.h"

#include <ATen/Parallel.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "hone/kernels/cpu/rms_norm.h"
#include "hone/kernels/dispatch.h"

namespace hone::kernels {
namespace {

class RmsNorm : public torch::autograd::Function<RmsNorm> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x_any,
                            const at::Tensor& weight_any, double eps) {
    const at::Tensor x = x_any.contiguous(), weight = weight_any.contiguous();
    at::Tensor y = at::empty_like(x),
               scale = at::empty(x.sizes().slice(0, x.dim() - 1), x.options());
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "rms_norm", [&] {
      run_rows(RmsNormForward<scalar_t>{.width = weight.size(0),
                                        .eps = eps,
                                        .x = read<scalar_t>(x),
                                        .weight = read<scalar_t>(weight),
                                        .y = y.mutable_data_ptr<scalar_t>(),
                                        .scales = scale.mutable_data_ptr<scalar_t>()},
               scale.numel(), row_grain(weight.size(0)));
    });
    context->save_for_backward({x, weight, scale});
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &scale = saved[2];
    const at::Tensor grad = grads[0].contiguous();
    const int64_t parts = at::get_num_threads();
    at::Tensor grad_x = at::empty_like(x);
    at::Tensor sums = at::zeros({parts, weight.size(0)}, weight.options().dtype(at::kDouble));
    AT_DISPATCH_FLOATING_TYPES(grad.scalar_type(), "rms_norm", [&] {
      run_rows(RmsNormBackward<scalar_t>{.width = weight.size(0),
                                         .row_count = scale.numel(),
                                         .parts = parts,
                                         .grad = read<scalar_t>(grad),
                                         .x = read<scalar_t>(x),
                                         .weight = read<scalar_t>(weight),
                                         .scales = read<scalar_t>(scale),
                                         .grad_x = grad_x.mutable_data_ptr<scalar_t>(),
                                         .sums = sums.mutable_data_ptr<double>()},
               parts, 1);
    });
    return {grad_x, sums.sum(0).to(weight.scalar_type()), {}};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  TORCH_CHECK_VALUE(weight.dim() == 1 && x.dim() >= 1 && weight.size(0) == x.size(-1),
                    "rms_norm: weight must be [D] for x [..., D] = ", x.sizes(), ", got ",
                    weight.sizes());
  const auto composite = [&]() -> at::Tensor {
    const at::Tensor wide = x.to(wide_type(x));
    const at::Tensor normed = wide * at::rsqrt(wide.square().mean(-1, true) + eps);
    return weight * normed.to(x.scalar_type());
  };
  return dispatch({x, weight}, [&] { return RmsNorm::apply(x, weight, eps); }, composite);
}

}  // namespace hone::kernels
