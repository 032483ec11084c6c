#include "hone/nn/norm.h"

#include <torch/types.h>

#include "hone/kernels/rms_norm.h"

namespace hone::nn {

RmsNormImpl::RmsNormImpl(int64_t dim, double eps, const at::TensorOptions& tensor_options)
    : weight(register_parameter("weight", at::empty({dim}, tensor_options))), eps(eps) {}

at::Tensor RmsNormImpl::forward(const at::Tensor& x) { return kernels::rms_norm(x, weight, eps); }

int64_t RmsNormImpl::saved(int64_t width, const StepShape& step) const {
  return step.half ? 4 * width : width + 1;  // unfused: its float32 steps too
}

std::vector<ModuleTensor> RmsNormImpl::own_tensors() const {
  return {{.name = "weight", .tensor = weight, .start = 1}};
}

}  // namespace hone::nn
