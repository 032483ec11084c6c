#include <torch/autograd.h>
#include <torch/types.h>

#include "hone/kernels/normalisation.h"
#include "hone/kernels/rows.h"
#include "hone/machine/parallel.h"

// Legend of suffixes: t rows, i the width of the feed-forward layer.
namespace hone::kernels {
namespace {

template <class T>
T sigmoid(T x) {
  return 1 / (1 + exponential(-x));
}

template <class T>
void forward_rows(const at::Tensor& gate_ti, const at::Tensor& up_ti, at::Tensor& out_ti) {
  const int64_t rows = gate_ti.size(0), width = gate_ti.size(1);
  const T *gate_data = read<T>(gate_ti), *up_data = read<T>(up_ti);
  T* out_data = out_ti.mutable_data_ptr<T>();
  machine::parallel_for(rows, row_grain(width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T *gate = gate_data + row * gate_ti.stride(0), *up = up_data + row * up_ti.stride(0);
      T* __restrict out = out_data + row * width;
      for (int64_t i = 0; i < width; ++i) out[i] = gate[i] * sigmoid(gate[i]) * up[i];
    }
  });
}

/// With s = sigmoid(gate): d(gate) = g up s (1 + gate (1 - s)), d(up) = g gate s.
template <class T>
void backward_rows(const at::Tensor& grad_ti, const at::Tensor& gate_ti, const at::Tensor& up_ti,
                   at::Tensor& grad_gate_ti, at::Tensor& grad_up_ti) {
  const int64_t rows = gate_ti.size(0), width = gate_ti.size(1);
  const T *grad_data = read<T>(grad_ti), *gate_data = read<T>(gate_ti);
  const T* up_data = read<T>(up_ti);
  T *grad_gate_data = grad_gate_ti.mutable_data_ptr<T>(),
    *grad_up_data = grad_up_ti.mutable_data_ptr<T>();
  machine::parallel_for(rows, row_grain(width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T *gate = gate_data + row * gate_ti.stride(0), *up = up_data + row * up_ti.stride(0);
      const T* g = grad_data + row * width;
      T* __restrict grad_gate = grad_gate_data + row * width;
      T* __restrict grad_up = grad_up_data + row * width;
      for (int64_t i = 0; i < width; ++i) {
        const T s = sigmoid(gate[i]);
        grad_gate[i] = g[i] * up[i] * s * (1 + gate[i] * (1 - s));
        grad_up[i] = g[i] * gate[i] * s;
      }
    }
  });
}

/// As [rows, width] with adjoining numbers in a row; a view where that is possible.
at::Tensor as_rows(const at::Tensor& x) {
  const at::Tensor rows = x.dim() == 2 ? x : x.reshape({-1, x.size(-1)});
  return rows.stride(1) == 1 ? rows : rows.contiguous();
}

class SwiGlu : public torch::autograd::Function<SwiGlu> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& gate,
                            const at::Tensor& up) {
    context->save_for_backward({gate, up});  // the sigmoid is made again: cheaper than keeping it
    at::Tensor out = at::empty(gate.sizes(), gate.options()), out_rows = as_rows(out);
    AT_DISPATCH_FLOATING_TYPES(gate.scalar_type(), "swiglu", [&] {
      forward_rows<scalar_t>(as_rows(gate), as_rows(up), out_rows);
    });
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor gate = as_rows(saved[0]), up = as_rows(saved[1]);
    const at::Tensor grad = as_rows(grads[0]).contiguous();
    at::Tensor grad_gate = at::empty(grad.sizes(), grad.options());
    at::Tensor grad_up = at::empty(grad.sizes(), grad.options());
    AT_DISPATCH_FLOATING_TYPES(grad.scalar_type(), "swiglu", [&] {
      backward_rows<scalar_t>(grad, gate, up, grad_gate, grad_up);
    });
    return {grad_gate.view(saved[0].sizes()), grad_up.view(saved[0].sizes())};
  }
};

}  // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  TORCH_CHECK_VALUE(gate.sizes() == up.sizes() && gate.dim() >= 1,
                    "swiglu: gate and up must have one shape, got ", gate.sizes(), " and ",
                    up.sizes());
  if (has_fused_path(gate) && up.scalar_type() == gate.scalar_type() && gate.numel() > 0) {
    return SwiGlu::apply(gate, up);
  }
  return at::silu(gate) * up;
}

}  // namespace hone::kernels
