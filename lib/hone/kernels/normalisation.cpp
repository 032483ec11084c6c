#include "hone/kernels/normalisation.h"

#include <torch/torch.h>

namespace hone::kernels {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  TORCH_CHECK_VALUE(weight.dim() == 1 && x.dim() >= 1 && weight.size(0) == x.size(-1),
                    "rms_norm: weight must be [D] for x [..., D] = ", x.sizes(), ", got ",
                    weight.sizes());
  const at::ScalarType wide = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor u = x.to(wide);
  const at::Tensor n = u * at::rsqrt(u.square().mean(-1, true) + eps);
  return weight * n.to(x.scalar_type());
}

at::Tensor apply_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  TORCH_CHECK_VALUE(x.dim() == 3 && cos.dim() == 2 && cos.size(0) == x.size(0) &&
                        cos.size(1) == x.size(2) && cos.sizes() == sin.sizes(),
                    "apply_rotary: x [T, H, E] = ", x.sizes(), " needs cos and sin [T, E], got ",
                    cos.sizes(), " and ", sin.sizes());
  const auto halves = x.chunk(2, -1);
  const at::Tensor turned = at::cat({-halves[1], halves[0]}, -1);
  return x * cos.unsqueeze(1) + turned * sin.unsqueeze(1);
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) { return at::silu(gate) * up; }

}  // namespace hone::kernels
