#include "hone/kernels/swiglu.h"

#include <torch/autograd.h>
#include <torch/types.h>

#include "hone/kernels/cpu/swiglu.h"
#include "hone/kernels/dispatch.h"

namespace hone::kernels {
namespace {

/// As [rows, width] with adjoining numbers in a row; a view where that is possible.
at::Tensor as_rows(const at::Tensor& x) {
  const at::Tensor rows = x.dim() == 2 ? x : x.reshape({-1, x.size(-1)});
  return rows.stride(1) == 1 ? rows : rows.contiguous();
}

class SwiGlu : public torch::autograd::Function<SwiGlu> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& gate_any,
                            const at::Tensor& up_any, double limit) {
    // The sigmoid is made again: cheaper than keeping it.
    context->save_for_backward({gate_any, up_any});
    context->saved_data["limit"] = limit;
    const at::Tensor gate = as_rows(gate_any), up = as_rows(up_any);
    at::Tensor out = at::empty(gate_any.sizes(), gate.options());
    AT_DISPATCH_FLOATING_TYPES(gate.scalar_type(), "swiglu", [&] {
      run_rows(SwiGluForward<scalar_t>{.width = gate.size(1),
                                       .gate_stride = gate.stride(0),
                                       .up_stride = up.stride(0),
                                       .limit = static_cast<scalar_t>(limit),
                                       .gate = read<scalar_t>(gate),
                                       .up = read<scalar_t>(up),
                                       .out = out.mutable_data_ptr<scalar_t>()},
               gate.size(0), row_grain(gate.size(1)));
    });
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor gate = as_rows(saved[0]), up = as_rows(saved[1]);
    const at::Tensor grad = as_rows(grads[0]).contiguous();
    const double limit = context->saved_data["limit"].toDouble();
    at::Tensor grad_gate = at::empty(grad.sizes(), grad.options());
    at::Tensor grad_up = at::empty(grad.sizes(), grad.options());
    AT_DISPATCH_FLOATING_TYPES(grad.scalar_type(), "swiglu", [&] {
      run_rows(SwiGluBackward<scalar_t>{.width = gate.size(1),
                                        .gate_stride = gate.stride(0),
                                        .up_stride = up.stride(0),
                                        .limit = static_cast<scalar_t>(limit),
                                        .grad = read<scalar_t>(grad),
                                        .gate = read<scalar_t>(gate),
                                        .up = read<scalar_t>(up),
                                        .grad_gate = grad_gate.mutable_data_ptr<scalar_t>(),
                                        .grad_up = grad_up.mutable_data_ptr<scalar_t>()},
               gate.size(0), row_grain(gate.size(1)));
    });
    return {grad_gate.view(saved[0].sizes()), grad_up.view(saved[0].sizes()), {}};
  }
};

}  // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up, double limit) {
  TORCH_CHECK_VALUE(gate.sizes() == up.sizes() && gate.dim() >= 1,
                    "swiglu: gate and up must have one shape, got ", gate.sizes(), " and ",
                    up.sizes());
  const auto composite = [&]() -> at::Tensor {
    if (limit == kNoLimit) return at::silu(gate) * up;
    return at::silu(gate.clamp_max(limit)) * up.clamp(-limit, limit);
  };
  if (gate.numel() == 0) return composite();  // has no rows
  return dispatch({gate, up}, [&] { return SwiGlu::apply(gate, up, limit); }, composite);
}

}  // namespace hone::kernels
