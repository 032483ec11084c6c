#include <ATen/Parallel.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "hone/kernels/normalisation.h"
#include "hone/kernels/rows.h"
#include "hone/machine/parallel.h"

// Legend of suffixes: r rows, d the normalised width.
namespace hone::kernels {
namespace {

template <class T>
void forward_rows(const at::Tensor& x_rd, const at::Tensor& weight_d, double eps, at::Tensor& y_rd,
                  at::Tensor& scale_r) {
  const int64_t rows = scale_r.numel(), width = weight_d.size(0);
  const T *x_data = read<T>(x_rd), *weight = read<T>(weight_d);
  T *y_data = y_rd.mutable_data_ptr<T>(), *scales = scale_r.mutable_data_ptr<T>();
  machine::parallel_for(rows, row_grain(width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* x = x_data + row * width;
      T* __restrict y = y_data + row * width;
      const T squares = sum_row<T>(width, [&](int64_t i) { return x[i] * x[i]; });
      const T scale = 1 / std::sqrt(squares / static_cast<T>(width) + static_cast<T>(eps));
      scales[row] = scale;
      for (int64_t i = 0; i < width; ++i) y[i] = weight[i] * (x[i] * scale);
    }
  });
}

/// dx = scale * (g w - x scale^2 mean(g w x)), dw = sum_r g x scale.
template <class T>
void backward_rows(const at::Tensor& grad_rd, const at::Tensor& x_rd, const at::Tensor& weight_d,
                   const at::Tensor& scale_r, at::Tensor& grad_x_rd, at::Tensor& grad_weight_d) {
  const int64_t rows = scale_r.numel(), width = weight_d.size(0), parts = at::get_num_threads();
  const T *grad_data = read<T>(grad_rd), *x_data = read<T>(x_rd);
  const T *weight = read<T>(weight_d), *scales = read<T>(scale_r);
  T* out_data = grad_x_rd.mutable_data_ptr<T>();
  at::Tensor sums = at::zeros({parts, width}, weight_d.options().dtype(at::kDouble));
  double* sums_data = sums.mutable_data_ptr<double>();
  const auto backward_part = [&](int64_t part) {
    double* sum = sums_data + part * width;
    for (int64_t row = rows * part / parts; row < rows * (part + 1) / parts; ++row) {
      const T *g = grad_data + row * width, *x = x_data + row * width;
      T* __restrict out = out_data + row * width;
      const T scale = scales[row];
      const T dot = sum_row<T>(width, [&](int64_t i) { return g[i] * weight[i] * x[i]; });
      const T pull = dot / static_cast<T>(width) * scale * scale;
      for (int64_t i = 0; i < width; ++i) out[i] = scale * (g[i] * weight[i] - x[i] * pull);
      for (int64_t i = 0; i < width; ++i) sum[i] += g[i] * x[i] * scale;
    }
  };
  machine::parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) backward_part(part);
  });
  grad_weight_d = sums.sum(0).to(weight_d.scalar_type());
}

class RmsNorm : public torch::autograd::Function<RmsNorm> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x_any,
                            const at::Tensor& weight_any, double eps) {
    const at::Tensor x = x_any.contiguous(), weight = weight_any.contiguous();
    at::Tensor y = at::empty_like(x),
               scale = at::empty(x.sizes().slice(0, x.dim() - 1), x.options());
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "rms_norm",
                               [&] { forward_rows<scalar_t>(x, weight, eps, y, scale); });
    context->save_for_backward({x, weight, scale});
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor grad = grads[0].contiguous();
    at::Tensor grad_x = at::empty_like(saved[0]), grad_weight;
    AT_DISPATCH_FLOATING_TYPES(grad.scalar_type(), "rms_norm", [&] {
      backward_rows<scalar_t>(grad, saved[0], saved[1], saved[2], grad_x, grad_weight);
    });
    return {grad_x, grad_weight, {}};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  TORCH_CHECK_VALUE(weight.dim() == 1 && x.dim() >= 1 && weight.size(0) == x.size(-1),
                    "rms_norm: weight must be [D] for x [..., D] = ", x.sizes(), ", got ",
                    weight.sizes());
  if (has_fused_path(x) && weight.scalar_type() == x.scalar_type()) {
    return RmsNorm::apply(x, weight, eps);
  }
  const at::Tensor wide = x.to(wide_type(x));
  const at::Tensor normed = wide * at::rsqrt(wide.square().mean(-1, true) + eps);
  return weight * normed.to(x.scalar_type());
}

}  // namespace hone::kernels
