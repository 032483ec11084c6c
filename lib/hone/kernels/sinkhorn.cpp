#include "hone/kernels/sinkhorn.h"

#include <torch/autograd.h>
#include <torch/types.h>

#include "hone/kernels/cpu/sinkhorn.h"
#include "hone/kernels/dispatch.h"

namespace hone::kernels {
namespace {

/// The result of logits [n, m, m]; fills divisors [n, 2 iterations - 1, m] if there are any.
at::Tensor forward_of(const at::Tensor& logits, int64_t iterations, double eps,
                      at::Tensor divisors = {}) {
  at::Tensor out = at::empty_like(logits);
  AT_DISPATCH_FLOATING_TYPES(logits.scalar_type(), "sinkhorn", [&] {
    run_rows(
        SinkhornForward<scalar_t>{
            .width = logits.size(2),
            .iterations = iterations,
            .eps = static_cast<scalar_t>(eps),
            .logits = read<scalar_t>(logits),
            .out = out.mutable_data_ptr<scalar_t>(),
            .divisors = divisors.defined() ? divisors.mutable_data_ptr<scalar_t>() : nullptr},
        logits.size(0), row_grain(logits.size(2) * logits.size(2) * iterations));
  });
  return out;
}

class Sinkhorn : public torch::autograd::Function<Sinkhorn> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& logits,
                            int64_t iterations, double eps) {
    context->save_for_backward({logits});
    context->saved_data["iterations"] = iterations;
    context->saved_data["eps"] = eps;
    return forward_of(logits, iterations, eps);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const at::Tensor logits = context->get_saved_variables()[0];
    const int64_t iterations = context->saved_data["iterations"].toInt();
    const double eps = context->saved_data["eps"].toDouble();
    at::Tensor divisors =
        at::empty({logits.size(0), 2 * iterations - 1, logits.size(2)}, logits.options());
    at::Tensor out = forward_of(logits, iterations, eps, divisors);
    at::Tensor grad = grads[0].clone(at::MemoryFormat::Contiguous);
    AT_DISPATCH_FLOATING_TYPES(grad.scalar_type(), "sinkhorn", [&] {
      run_rows(SinkhornBackward<scalar_t>{.width = logits.size(2),
                                          .iterations = iterations,
                                          .eps = static_cast<scalar_t>(eps),
                                          .divisors = read<scalar_t>(divisors),
                                          .out = out.mutable_data_ptr<scalar_t>(),
                                          .grad = grad.mutable_data_ptr<scalar_t>()},
               grad.size(0), row_grain(logits.size(2) * logits.size(2) * iterations));
    });
    return {grad, {}, {}};
  }
};

at::Tensor composite(const at::Tensor& logits, int64_t iterations, double eps) {
  at::Tensor a = logits.softmax(-1) + eps;
  for (int64_t half = 0; half < 2 * iterations - 1; ++half) {
    a = a / (a.sum(half % 2 == 0 ? -2 : -1, true) + eps);
  }
  return a;
}

}  // namespace

at::Tensor sinkhorn(const at::Tensor& logits, int64_t iterations, double eps) {
  TORCH_CHECK_VALUE(logits.dim() >= 2 && logits.size(-1) == logits.size(-2) && iterations > 0,
                    "sinkhorn: logits must be [..., m, m] and iterations above 0, got ",
                    logits.sizes(), " and ", iterations);
  if (logits.numel() == 0) return logits.clone();
  return dispatch(
      {logits},
      [&] {
        const int64_t m = logits.size(-1);
        return Sinkhorn::apply(logits.reshape({-1, m, m}).contiguous(), iterations, eps)
            .view(logits.sizes());
      },
      [&] { return composite(logits, iterations, eps); });
}

}  // namespace hone::kernels
