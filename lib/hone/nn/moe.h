/// A feed-forward branch of many gated MLPs, of which each token takes a few.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "hone/kernels/sequences.h"
#include "hone/kernels/swiglu.h"
#include "hone/nn/branch.h"
#include "hone/nn/experts.h"
#include "hone/nn/mlp.h"
#include "hone/nn/router.h"

namespace hone::nn {

struct MoeOptions {
  RouterOptions router;
  int64_t hidden = 0;         ///< I, width of an expert
  int64_t shared_hidden = 0;  ///< width of the MLP that every token takes; 0: there is none
  bool shared_bias = false;
  double limit = kernels::kNoLimit;  ///< of what the activations take in (kernels/swiglu.h)
  bool fixed = false;                ///< whether its experts can be neither switched off nor cut
};

/// How even the choice of experts was.
struct ExpertLoad {
  std::vector<int64_t> counts;  ///< [E] choices of each expert; empty: none
  double balance = 0;           ///< sum of the balance losses of the passes, undivided
  int64_t passes = 0;           ///< that have one
};

/// What a balance loss is of: per document d of the batch, with f_e = E / (K T_d) times the choices
/// of expert e and P_e the mean of its scores, normalised over the experts unless they are softmax,
///   loss = mean over documents of sum over e of f_e P_e,
/// 1 where all is even. f carries no gradient.
/// Source: DeepSeek-V2's modelling code (seq_aux), DeepSeek-V3, eq. 17 to 20, where the choice is
/// that of the scores without the bias.
struct Balance {
  double factor = 0;             ///< of its gradient; 0: there is none
  kernels::Sequences documents;  ///< of the batch
};

/// sum over a token's experts e of weight_e * expert_e(x), and shared_experts(x). No token is ever
/// dropped. x [T, D] -> [T, D]. Its units are the experts: the router passes over those that are
/// off, and what a gate measures of one is what it is worth through its routing weights, so that
/// kOutputNorm is its routed mass, their mean over the positions; of one that is off it is 0.
/// Parity: transformers' DeepseekV2Moe, DeepseekV3MoE, DeepseekV4SparseMoeBlock,
///   Qwen3MoeSparseMoeBlock.
class MoeImpl : public FeedForwardImpl {
 public:
  MoeImpl(const MoeOptions& options, const at::TensorOptions& tensor_options);

  /// `ids`: for a router by hash.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& ids = {}) override;

  bool routes() const override { return true; }
  /// None where a table of ids names them.
  int64_t units() const override { return options.fixed ? 0 : options.router.experts; }
  /// The router's; empty where it has one.
  std::vector<int64_t> groups() const override;
  std::vector<UnitAxis> axes() const override;
  /// As many experts of each group must be left, and enough to choose from.
  void check_kept(const std::vector<int64_t>& keep) const override;
  /// Registers it as "expert_gate".
  void add_gate() override;
  Footprint footprint(const StepShape& step) const override;
  /// 2 for each weight that works on a token.
  int64_t flops(int64_t positions) const override;
  /// The experts that a token does not take.
  int64_t idle() const override;

  /// What came of the passes in training mode since the last call, those of recomputed blocks too:
  /// they count twice.
  ExpertLoad take_load();

  /// Adds the gradient of factor * loss to those of the passes in training mode that follow.
  Balance balance;

  MoeOptions options;
  Router router{nullptr};  ///< registered as "gate"
  Experts experts{nullptr};
  Mlp shared_experts{nullptr};  ///< null without

 private:
  void units_cut(const std::vector<int64_t>& keep) override;
  /// routing.weights, seen by the gate.
  at::Tensor weights(const Routing& routing);
  /// y, whose backward pass also makes the gradient of the balance loss.
  at::Tensor balanced(const at::Tensor& y, const Routing& routing);

  ExpertLoad load_;
};
TORCH_MODULE(Moe);

}  // namespace hone::nn
