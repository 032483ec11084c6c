#include "hone/nn/norm.h"

#include <torch/types.h>

#include "hone/kernels/rms_norm.h"

namespace hone::nn {

RmsNormImpl::RmsNormImpl(int64_t dim, double eps, const at::TensorOptions& tensor_options)
    : weight(register_parameter("weight", at::empty({dim}, tensor_options))), eps(eps) {}

at::Tensor RmsNormImpl::forward(const at::Tensor& x) { return kernels::rms_norm(x, weight, eps); }

std::vector<ModuleTensor> RmsNormImpl::own_tensors() const {
  return {{.name = "weight", .tensor = weight, .start = 1}};
}

}  // namespace hone::nn
