#include "hone/nn/mlp.h"

#include <torch/types.h>

namespace hone::nn {

MlpImpl::MlpImpl(const MlpOptions& options, const at::TensorOptions& tensor_options)
    : options(options) {
  const LinearOptions in{options.dim, options.hidden, options.bias};
  const LinearOptions out{options.hidden, options.dim, options.bias};
  gate_proj = register_module("gate_proj", Linear(in, tensor_options));
  up_proj = register_module("up_proj", Linear(in, tensor_options));
  down_proj = register_module("down_proj", Linear(out, tensor_options));
}

at::Tensor MlpImpl::forward(const at::Tensor& x, const at::Tensor&) {
  const std::vector<at::Tensor> in = forward_together({gate_proj, up_proj}, x);
  const at::Tensor channels = kernels::swiglu(in[0], in[1], options.limit);
  return down_proj(gate ? gate(channels) : channels);
}

std::vector<UnitAxis> MlpImpl::axes() const {
  return {{.name = "gate_proj", .layer = gate_proj},
          {.name = "up_proj", .layer = up_proj},
          {.name = "down_proj", .layer = down_proj, .outputs = false}};
}

Footprint MlpImpl::footprint(const StepShape& step) const {
  const int64_t hidden = options.hidden;
  const int64_t product = down_proj->keeps_input() ? hidden : 0;
  const int64_t steps = options.limit == kernels::kNoLimit ? 1 : 3;  // silu, and what is clamped
  // gate and up, and their product if kept. Backward: its gradient and theirs.
  return {.saved = saved_together({gate_proj, up_proj}) + down_proj->saved() + 2 * hidden +
                   product + (step.half ? steps * hidden : 0),
          .backward = options.dim + 3 * hidden - product,
          .gradients = trained_numel(*this)};
}

}  // namespace hone::nn
