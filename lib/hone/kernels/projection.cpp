#include "hone/kernels/projection.h"

#include <torch/types.h>

#include "hone/kernels/detail/dot.h"
#include "hone/kernels/rows.h"
#include "hone/machine/parallel.h"

namespace hone::kernels {
namespace {

constexpr int64_t kLeastBytes = int64_t{1} << 20;

/// x [1, D] by weight [V, D] into out [1, V].
template <class T>
void one_row(const at::Tensor& x, const at::Tensor& weight, at::Tensor& out) {
  const int64_t width = x.size(1);
  const T *x_data = read<T>(x), *w_data = read<T>(weight);
  T* out_data = out.mutable_data_ptr<T>();
  machine::parallel_for(weight.size(0), row_grain(width), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      out_data[o] = detail::dot(x_data, w_data + o * width, width);
    }
  });
}

}  // namespace

at::Tensor project(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const bool one = !at::GradMode::is_enabled() && x.dim() == 2 && x.size(0) == 1 &&
                   has_fused_path(x) && weight.dim() == 2 && weight.size(1) == x.size(1) &&
                   weight.scalar_type() == x.scalar_type() && weight.is_contiguous() &&
                   static_cast<int64_t>(weight.nbytes()) > kLeastBytes;
  if (!one) return at::linear(x, weight, bias);
  at::Tensor out = at::empty({1, weight.size(0)}, x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "project",
                             [&] { one_row<scalar_t>(x.contiguous(), weight, out); });
  if (bias.defined()) out.add_(bias);
  return out;
}

}  // namespace hone::kernels
