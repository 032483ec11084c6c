/// The choice of the experts that a token takes.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "hone/nn/anatomy.h"
#include "hone/nn/linear.h"

namespace hone::nn {

/// What makes a score of an expert's logit.
enum class Scoring { kSoftmax, kSigmoid, kSqrtSoftplus };

struct RouterOptions {
  int64_t dim = 0;      ///< D
  int64_t experts = 0;  ///< E
  int64_t chosen = 0;   ///< K, of each token
  Scoring scoring = Scoring::kSoftmax;
  int64_t groups = 1;         ///< of consecutive experts, equal in number
  int64_t chosen_groups = 1;  ///< of which experts are chosen
  int64_t group_top = 1;      ///< a group counts the sum of so many of its largest scores
  bool bias = false;          ///< e_score_correction_bias, added to scores for the choice alone
  int64_t hashed = 0;      ///< V: experts are tid2eid's of the token's id in [0, V), not the best
  bool normalise = false;  ///< weights of a token sum to `scale`; else they are `scale` * scores
  double scale = 1;

  int64_t group_size() const { return experts / groups; }
  /// Fewest experts that a group must have.
  int64_t least() const {
    return std::max(group_top, (chosen + chosen_groups - 1) / chosen_groups);
  }
};

/// What a router says of T tokens.
struct Routing {
  at::Tensor experts;  ///< [T, K] int64
  at::Tensor weights;  ///< [T, K], float32 or float64, with a graph
  at::Tensor scores;   ///< [T, E], those that the weights are of, likewise
};

/// Chooses the K best experts of the best groups, or those that a table has for the token's id, all
/// in float32 whatever the activations' type is and kernels::product_type() says: rounded scores
/// would choose other experts.
///
/// Tensors: weight [E, D]; with bias, e_score_correction_bias [E] float32, which begins at 0; with
///   hashed, tid2eid [V, K] int64. No gradient reaches the latter two, parts of the checkpoint.
/// Throws: c10::ValueError naming what of the ids is wrong.
/// Source: DeepSeek-V2 (2.1.2), -V3 (2.1.2) and -V4 (2.1). Parity: transformers'
///   DeepseekV2TopkRouter, DeepseekV3TopkRouter, DeepseekV4TopKRouter, DeepseekV4HashRouter,
///   Qwen3MoeTopKRouter.
class RouterImpl : public CuttableImpl {
 public:
  RouterImpl(const RouterOptions& options, const at::TensorOptions& tensor_options);

  /// x [T, D]; ids [T] int64, which only a hashed choice reads. `off` [E] bool: experts that are
  /// chosen for nobody, as if they were not there; not with a hashed choice.
  Routing forward(const at::Tensor& x, const at::Tensor& ids = {}, const at::Tensor& off = {});
  /// Gives a table rows for more ids: row i is that of id like[i].
  void grow(const std::vector<int64_t>& like);

  std::vector<ModuleTensor> own_tensors() const override;
  /// Keeps these experts; of each group as many (RouterOptions).
  std::vector<Cut> keep_rows(const at::Tensor& keep) override;

  RouterOptions options;
  at::Tensor weight, e_score_correction_bias, tid2eid;

 private:
  at::Tensor scores_of(const at::Tensor& logits) const;
  /// [T, K] of the scores [T, E].
  at::Tensor choose(const at::Tensor& scores, const at::Tensor& ids, const at::Tensor& off) const;
  /// scores [T, E] with -inf where the expert's group is not among the best.
  at::Tensor within_best_groups(const at::Tensor& scores) const;
};
TORCH_MODULE(Router);

}  // namespace hone::nn
