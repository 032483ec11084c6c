/// The gated MLP of a decoder block.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "hone/kernels/swiglu.h"
#include "hone/nn/branch.h"
#include "hone/nn/linear.h"

namespace hone::nn {

struct MlpOptions {
  int64_t dim = 0;     ///< D
  int64_t hidden = 0;  ///< I
  bool bias = false;
  double limit = kernels::kNoLimit;  ///< of what the activation takes in (kernels/swiglu.h)
};

/// down_proj(swiglu(gate_proj(x), up_proj(x), limit)). x [T, D] -> [T, D]. Units are the I
/// channels; the gate lies on what down_proj takes in.
class MlpImpl : public FeedForwardImpl {
 public:
  MlpImpl(const MlpOptions& options, const at::TensorOptions& tensor_options);

  at::Tensor forward(const at::Tensor& x, const at::Tensor& ids = {}) override;

  int64_t units() const override { return options.hidden; }
  std::vector<UnitAxis> axes() const override;
  Footprint footprint(const StepShape& step) const override;

  MlpOptions options;  ///< hidden falls with a cut
  Linear gate_proj{nullptr}, up_proj{nullptr}, down_proj{nullptr};

 private:
  void units_cut(const std::vector<int64_t>& keep) override { options.hidden = std::ssize(keep); }
};
TORCH_MODULE(Mlp);

}  // namespace hone::nn
