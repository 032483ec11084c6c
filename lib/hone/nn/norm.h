/// RMS normalisation with a trained scale.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "hone/nn/anatomy.h"
#include "hone/nn/branch.h"

namespace hone::nn {

/// kernels::rms_norm with its weight [dim]. x [..., dim] -> [..., dim].
class RmsNormImpl : public NormImpl, public TellsTensors {
 public:
  RmsNormImpl(int64_t dim, double eps, const at::TensorOptions& tensor_options);

  at::Tensor forward(const at::Tensor& x) override;
  int64_t saved(int64_t width, const StepShape& step) const override;

  std::vector<ModuleTensor> own_tensors() const override;

  at::Tensor weight;
  double eps;
};
TORCH_MODULE(RmsNorm);

}  // namespace hone::nn
