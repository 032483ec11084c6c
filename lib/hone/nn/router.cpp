#include "hone/nn/router.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <limits>
#include <tuple>

#include "hone/kernels/dispatch.h"

namespace hone::nn {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

}  // namespace

RouterImpl::RouterImpl(const RouterOptions& options, const at::TensorOptions& tensor_options)
    : options(options),
      weight(
          register_parameter("weight", at::empty({options.experts, options.dim}, tensor_options))) {
  const RouterOptions& o = options;
  TORCH_CHECK_VALUE(o.groups > 0 && o.experts % o.groups == 0 && o.chosen_groups > 0 &&
                        o.chosen_groups <= o.groups && o.least() <= o.group_size(),
                    "Router: cannot choose ", o.chosen, " of ", o.experts, " experts in ",
                    o.chosen_groups, " of ", o.groups, " groups");
  if (o.hashed > 0) {
    tid2eid = register_buffer("tid2eid",
                              at::zeros({o.hashed, o.chosen}, tensor_options.dtype(at::kLong)));
  }
  if (o.bias) {
    e_score_correction_bias = register_buffer(
        "e_score_correction_bias", at::zeros({o.experts}, tensor_options.dtype(at::kFloat)));
  }
}

Routing RouterImpl::forward(const at::Tensor& x, const at::Tensor& ids, const at::Tensor& off) {
  const RouterOptions& o = options;
  const at::ScalarType wide = kernels::wide_type(x);
  at::Tensor logits = at::linear(x.to(wide), weight.to(wide));
  if (off.defined()) logits = logits.masked_fill(off, kNever);
  const at::Tensor scores = scores_of(logits);
  const at::Tensor experts = choose(scores.detach(), ids, off);
  at::Tensor weights = scores.gather(1, experts);
  if (o.normalise) weights = weights / (weights.sum(-1, true) + 1e-20);
  return {experts, o.scale == 1 ? weights : weights * o.scale, scores};
}

at::Tensor RouterImpl::scores_of(const at::Tensor& logits) const {
  switch (options.scoring) {
    case Scoring::kSoftmax:
      return logits.softmax(-1);
    case Scoring::kSigmoid:
      return logits.sigmoid();
    case Scoring::kSqrtSoftplus:
      // Where softplus is 0, the root's gradient would be 0 / 0.
      return at::softplus(logits).clamp_min(std::numeric_limits<float>::min()).sqrt();
  }
  TORCH_INTERNAL_ASSERT(false);
}

at::Tensor RouterImpl::choose(const at::Tensor& scores, const at::Tensor& ids,
                              const at::Tensor& off) const {
  const RouterOptions& o = options;
  if (o.hashed > 0) {
    TORCH_CHECK_VALUE(ids.defined() && ids.dim() == 1 && ids.size(0) == scores.size(0),
                      "Router: ids must be [T] with T = ", scores.size(0), ", got ",
                      ids.defined() ? ids.sizes() : at::IntArrayRef());
    return tid2eid.index_select(0, ids);
  }
  at::Tensor preferred = scores;
  if (o.bias) preferred = preferred + e_score_correction_bias;
  if (off.defined()) preferred = preferred.masked_fill(off, kNever);
  if (o.chosen_groups < o.groups) preferred = within_best_groups(preferred);
  return std::get<1>(preferred.topk(o.chosen, -1, true, /*sorted=*/false));
}

void RouterImpl::grow(const std::vector<int64_t>& like) {
  const at::Tensor rows = torch::tensor(like, at::kLong).to(tid2eid.device());
  tid2eid.set_data(at::cat({tid2eid, tid2eid.index_select(0, rows)}));
  options.hashed = tid2eid.size(0);
}

at::Tensor RouterImpl::within_best_groups(const at::Tensor& scores) const {
  const at::Tensor grouped = scores.view({scores.size(0), options.groups, -1});
  const at::Tensor values = std::get<0>(grouped.topk(options.group_top, -1)).sum(-1);
  const at::Tensor best = std::get<1>(values.topk(options.chosen_groups, -1, true, false));
  const at::Tensor left = at::ones_like(values, at::kBool).scatter(1, best, false);
  return grouped.masked_fill(left.unsqueeze(-1), kNever).view_as(scores);
}

std::vector<Cut> RouterImpl::keep_rows(const at::Tensor& keep) {
  std::vector<Cut> cuts;
  cut("weight", weight, 0, keep, cuts);
  if (options.bias) {
    at::Tensor& bias = e_score_correction_bias;
    bias.set_data(bias.index_select(0, keep.to(bias.device())));
  }
  options.experts = keep.numel();
  return cuts;
}

std::vector<ModuleTensor> RouterImpl::own_tensors() const {
  std::vector<ModuleTensor> own = {{.name = "weight", .tensor = weight, .outputs = 0}};
  if (options.bias) {
    own.push_back({.name = "e_score_correction_bias",
                   .tensor = e_score_correction_bias,
                   .role = Role::kBuffer,
                   .start = 0,
                   .outputs = 0});
  }
  if (options.hashed > 0) {
    own.push_back(
        {.name = "tid2eid", .tensor = tid2eid, .role = Role::kBuffer, .choices = options.experts});
  }
  return own;
}

}  // namespace hone::nn
