/// A feed-forward branch of many gated MLPs, of which each token takes a few.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "hone/nn/branch.h"
#include "hone/nn/mlp.h"
#include "hone/nn/router.h"

namespace hone::nn {

struct MoeOptions {
  RouterOptions router;
  int64_t hidden = 0;         ///< I, width of an expert
  int64_t shared_hidden = 0;  ///< width of the MLP that every token takes; 0: there is none
  bool shared_bias = false;
};

/// The routed experts' weights, as transformers stacks them: gate_up_proj [E, 2 I, D], the gate's
/// rows first, and down_proj [E, D, I].
class ExpertsImpl : public torch::nn::Module {
 public:
  ExpertsImpl(const MoeOptions& options, const at::TensorOptions& tensor_options);

  at::Tensor gate_up_proj, down_proj;
};
TORCH_MODULE(Experts);

/// sum over a token's experts e of weight_e * expert_e(x), and shared_experts(x). No token is ever
/// dropped. x [T, D] -> [T, D]. It has no units that a gate could switch.
/// Parity: transformers' DeepseekV2Moe, DeepseekV3MoE, Qwen3MoeSparseMoeBlock.
class MoeImpl : public FeedForwardImpl {
 public:
  MoeImpl(const MoeOptions& options, const at::TensorOptions& tensor_options);

  at::Tensor forward(const at::Tensor& x) override;

  int64_t units() const override { return 0; }
  std::vector<UnitAxis> axes() const override { return {}; }
  Footprint footprint(const StepShape& step) const override;
  /// 2 for each weight that works on a token.
  int64_t flops(int64_t positions) const override;

  MoeOptions options;
  Router router{nullptr};  ///< registered as "gate"
  Experts experts{nullptr};
  Mlp shared_experts{nullptr};  ///< null without

 private:
  void units_cut(const std::vector<int64_t>&) override {}
};
TORCH_MODULE(Moe);

}  // namespace hone::nn
