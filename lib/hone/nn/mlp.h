/// The gated MLP of a decoder block.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>

#include "hone/nn/linear.h"

namespace hone::nn {

struct MlpOptions {
  int64_t dim = 0;     ///< D
  int64_t hidden = 0;  ///< I
  bool bias = false;
};

/// down_proj(silu(gate_proj(x)) * up_proj(x)). x [T, D] -> [T, D].
class MlpImpl : public torch::nn::Module {
 public:
  MlpImpl(const MlpOptions& options, const at::TensorOptions& tensor_options);

  at::Tensor forward(const at::Tensor& x);

  MlpOptions options;
  Linear gate_proj{nullptr}, up_proj{nullptr}, down_proj{nullptr};
};
TORCH_MODULE(Mlp);

}  // namespace hone::nn
