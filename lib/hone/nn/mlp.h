/// The gated MLP of a decoder block.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "hone/nn/gate.h"
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

  /// Gives the I channels a gate, on what down_proj takes in, unless they have one.
  void add_gate();
  /// Cuts all channels but these, ascending positions among the present ones: rows of gate_proj and
  /// up_proj, columns of down_proj (LinearImpl::keep_rows and keep_columns).
  std::vector<Cut> cut_channels(const std::vector<int64_t>& keep);

  MlpOptions options;  ///< hidden falls with a cut
  Linear gate_proj{nullptr}, up_proj{nullptr}, down_proj{nullptr};
  Gate gate{nullptr};  ///< null before add_gate()
};
TORCH_MODULE(Mlp);

}  // namespace hone::nn
