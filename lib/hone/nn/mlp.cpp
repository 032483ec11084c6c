#include "hone/nn/mlp.h"

#include <torch/types.h>

#include "hone/kernels/swiglu.h"
#include "hone/nn/detail/cutting.h"

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
  const at::Tensor channels = kernels::swiglu(gate_proj(x), up_proj(x));
  return down_proj(gate ? gate(channels) : channels);
}

void MlpImpl::add_gate() { detail::add_gate(*this, gate, options.hidden); }

std::vector<Cut> MlpImpl::cut_channels(const std::vector<int64_t>& keep) {
  detail::check_keep("Mlp: cut_channels", keep, options.hidden);
  const at::Tensor indices = torch::tensor(keep, at::kLong);
  std::vector<Cut> cuts;
  detail::append(cuts, "gate_proj", gate_proj->keep_rows(indices));
  detail::append(cuts, "up_proj", up_proj->keep_rows(indices));
  detail::append(cuts, "down_proj", down_proj->keep_columns(indices));
  if (gate) gate->keep_units(keep);
  options.hidden = indices.numel();
  return cuts;
}

}  // namespace hone::nn
