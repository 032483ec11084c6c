#include "hone/nn/mlp.h"

#include <torch/torch.h>

#include "hone/kernels/normalisation.h"

namespace hone::nn {

MlpImpl::MlpImpl(const MlpOptions& options, const at::TensorOptions& tensor_options)
    : options(options) {
  const LinearOptions in{options.dim, options.hidden, options.bias};
  const LinearOptions out{options.hidden, options.dim, options.bias};
  gate_proj = register_module("gate_proj", Linear(in, tensor_options));
  up_proj = register_module("up_proj", Linear(in, tensor_options));
  down_proj = register_module("down_proj", Linear(out, tensor_options));
}

at::Tensor MlpImpl::forward(const at::Tensor& x) {
  return down_proj(kernels::swiglu(gate_proj(x), up_proj(x)));
}

}  // namespace hone::nn
