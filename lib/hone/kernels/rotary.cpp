#include <torch/autograd.h>
#include <torch/types.h>

#include "hone/kernels/normalisation.h"
#include "hone/kernels/rows.h"
#include "hone/machine/parallel.h"

// Legend of suffixes: t positions, h heads, e head width.
namespace hone::kernels {
namespace {

/// Rotates each head of x forward, or by the negative angles: the transpose, which carries
/// gradients.
template <class T, bool kBack>
void rotate(const at::Tensor& x_the, const at::Tensor& cos_te, const at::Tensor& sin_te,
            at::Tensor& y_the) {
  const int64_t tokens = x_the.size(0), heads = x_the.size(1), width = x_the.size(2);
  const int64_t half = width / 2, stride = x_the.stride(0);
  const T *x_data = read<T>(x_the), *cos_data = read<T>(cos_te);
  const T* sin_data = read<T>(sin_te);
  T* y_data = y_the.mutable_data_ptr<T>();
  machine::parallel_for(tokens, row_grain(heads * width), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const T *c = cos_data + t * width, *s = sin_data + t * width;
      for (int64_t h = 0; h < heads; ++h) {
        const T* x = x_data + t * stride + h * width;
        T* __restrict y = y_data + (t * heads + h) * width;
        for (int64_t i = 0; i < half; ++i) {
          const T first = x[i], second = x[i + half];
          if constexpr (kBack) {
            y[i] = first * c[i] + second * s[i + half];
            y[i + half] = second * c[i + half] - first * s[i];
          } else {
            y[i] = first * c[i] - second * s[i];
            y[i + half] = second * c[i + half] + first * s[i + half];
          }
        }
      }
    }
  });
}

template <bool kBack>
at::Tensor rotated(const at::Tensor& x_the, const at::Tensor& cos_te, const at::Tensor& sin_te) {
  const bool heads_adjoin = x_the.stride(2) == 1 && x_the.stride(1) == x_the.size(2);
  const at::Tensor x = heads_adjoin ? x_the : x_the.contiguous();
  at::Tensor y = at::empty(x.sizes(), x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "apply_rotary",
                             [&] { rotate<scalar_t, kBack>(x, cos_te, sin_te, y); });
  return y;
}

class Rotary : public torch::autograd::Function<Rotary> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& cos, const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return rotated<false>(x, cos, sin);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    return {rotated<true>(grads[0], saved[0], saved[1]), {}, {}};
  }
};

}  // namespace

at::Tensor apply_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  TORCH_CHECK_VALUE(x.dim() == 3 && cos.dim() == 2 && cos.size(0) == x.size(0) &&
                        cos.size(1) == x.size(2) && cos.sizes() == sin.sizes(),
                    "apply_rotary: x [T, H, E] = ", x.sizes(), " needs cos and sin [T, E], got ",
                    cos.sizes(), " and ", sin.sizes());
  TORCH_CHECK_VALUE(x.size(2) % 2 == 0, "apply_rotary: E must be even, got ", x.size(2));
  if (has_fused_path(x) && cos.scalar_type() == x.scalar_type() &&
      sin.scalar_type() == x.scalar_type()) {
    return Rotary::apply(x, cos.contiguous(), sin.contiguous());
  }
  const auto halves = x.chunk(2, -1);
  const at::Tensor turned = at::cat({-halves[1], halves[0]}, -1);
  return x * cos.unsqueeze(1) + turned * sin.unsqueeze(1);
}

}  // namespace hone::kernels
