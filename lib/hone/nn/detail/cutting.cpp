#include "hone/nn/detail/cutting.h"

#include <torch/nn/module.h>
#include <torch/types.h>

#include <utility>

namespace hone::nn::detail {

void add_gate(torch::nn::Module& module, Gate& gate, int64_t units) {
  if (gate) return;
  gate = module.register_module("gate", Gate(units));
  gate->train(module.is_training());
  gate->to(module.parameters().front().device());
}

void check_keep(const char* who, const std::vector<int64_t>& keep, int64_t units) {
  TORCH_CHECK_VALUE(!keep.empty(), who, " must keep at least one of ", units);
  for (size_t i = 0; i < keep.size(); ++i) {
    TORCH_CHECK_VALUE(keep[i] >= 0 && keep[i] < units && (i == 0 || keep[i] > keep[i - 1]), who,
                      " must be given ascending positions in [0, ", units, "), got ", keep);
  }
}

at::Tensor positions_of(const std::vector<int64_t>& keep, int64_t width) {
  return (torch::tensor(keep, at::kLong).unsqueeze(1) * width + at::arange(width, at::kLong))
      .flatten();
}

void append(std::vector<Cut>& cuts, const std::string& child, std::vector<Cut> of_child) {
  for (Cut& cut : of_child) {
    cut.parameter = child + "." + cut.parameter;
    cuts.push_back(std::move(cut));
  }
}

}  // namespace hone::nn::detail
