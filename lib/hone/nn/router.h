/// The choice of the experts that a token takes.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "hone/nn/anatomy.h"

namespace hone::nn {

/// What makes a score of an expert's logit.
enum class Scoring { kSoftmax, kSigmoid };

struct RouterOptions {
  int64_t dim = 0;      ///< D
  int64_t experts = 0;  ///< E
  int64_t chosen = 0;   ///< K, of each token
  Scoring scoring = Scoring::kSoftmax;
  int64_t groups = 1;         ///< of consecutive experts, equal in number
  int64_t chosen_groups = 1;  ///< of which experts are chosen
  int64_t group_top = 1;      ///< a group counts the sum of so many of its largest scores
  bool bias = false;          ///< e_score_correction_bias, added to scores for the choice alone
  bool normalise = false;     ///< weights of a token sum to `scale`; else they are `scale` * scores
  double scale = 1;
};

/// What a router says of T tokens.
struct Routing {
  at::Tensor experts;  ///< [T, K] int64
  at::Tensor weights;  ///< [T, K], float32 or float64, with a graph
  at::Tensor scores;   ///< [T, E], those that the weights are of, likewise
};

/// Chooses the K best experts of the best groups, all in float32 whatever the activations' type is
/// and kernels::product_type() says: rounded scores would choose other experts.
///
/// Tensors: weight [E, D]; with bias, e_score_correction_bias [E] float32, which no gradient
///   reaches: it is part of the checkpoint and begins at 0.
/// Source: DeepSeek-V2 (2.1.2) and -V3 (2.1.2). Parity: transformers' DeepseekV2TopkRouter,
///   DeepseekV3TopkRouter, Qwen3MoeTopKRouter.
class RouterImpl : public torch::nn::Module, public TellsTensors {
 public:
  RouterImpl(const RouterOptions& options, const at::TensorOptions& tensor_options);

  /// x [T, D].
  Routing forward(const at::Tensor& x);

  std::vector<ModuleTensor> own_tensors() const override;

  RouterOptions options;
  at::Tensor weight, e_score_correction_bias;

 private:
  /// scores [T, E] with -inf where the expert's group is not among the best.
  at::Tensor within_best_groups(const at::Tensor& scores) const;
};
TORCH_MODULE(Router);

}  // namespace hone::nn
