#include "hone/nn/merge_experts.h"

#include <torch/types.h>

#include <map>

#include "hone/kernels/dispatch.h"
#include "hone/nn/assignment.h"

namespace hone::nn {
namespace {

/// An expert's weights, a row of all for each hidden unit: [I, 3 D].
at::Tensor unit_rows(const Experts& experts, int64_t e) {
  const auto halves = experts->gate_up_proj[e].chunk(2, 0);
  const at::Tensor down = experts->down_proj[e].t();
  return at::cat({halves[0], halves[1], down}, 1).to(kernels::wide_type(down));
}

}  // namespace

std::vector<ExpertMerge> plan_merges(const at::Tensor& rows, const std::vector<double>& mass,
                                     const std::vector<bool>& before,
                                     const std::vector<bool>& after) {
  const at::NoGradGuard no_grad;
  const at::Tensor wide = rows.to(at::kCPU, at::kDouble);
  const at::Tensor unit = wide / wide.norm(2, at::IntArrayRef{1}, true).clamp_min(1e-30);
  const at::Tensor likeness = at::mm(unit, unit.t()).contiguous();
  const auto experts = static_cast<int64_t>(after.size());
  const auto* like = kernels::read<double>(likeness);
  std::vector<ExpertMerge> merges;
  std::map<int64_t, std::vector<int64_t>> meet;  // what goes into each
  for (int64_t e = 0; e < experts; ++e) {
    if (!before[e] || after[e]) continue;
    int64_t best = -1;
    for (int64_t k = 0; k < experts; ++k) {
      if (!after[k]) continue;
      if (best < 0 || like[e * experts + k] > like[e * experts + best]) best = k;
    }
    merges.push_back({.from = e, .into = best});
    meet[best].push_back(e);
  }
  for (ExpertMerge& merge : merges) {
    double all = mass[merge.into];
    for (const int64_t e : meet[merge.into]) all += mass[e];
    const auto count = static_cast<double>(meet[merge.into].size() + 1);
    merge.share = all > 0 ? mass[merge.from] / all : 1 / count;
  }
  return merges;
}

void merge_experts(Experts& experts, const std::vector<ExpertMerge>& merges) {
  const at::NoGradGuard no_grad;
  std::map<int64_t, std::vector<const ExpertMerge*>> by_target;
  for (const ExpertMerge& merge : merges) by_target[merge.into].push_back(&merge);
  for (const auto& [into, parts] : by_target) {
    const at::Tensor own = unit_rows(experts, into);
    at::Tensor merged = own.clone();
    for (const ExpertMerge* part : parts) {
      const at::Tensor other = unit_rows(experts, part->from);
      const at::Tensor gain = at::mm(own, other.t()).to(at::kCPU, at::kDouble).contiguous();
      const at::Tensor order = torch::tensor(assigned(gain), at::kLong).to(other.device());
      merged.add_(other.index_select(0, order) - own, part->share);
    }
    const auto thirds = merged.chunk(3, 1);
    experts->gate_up_proj[into].copy_(at::cat({thirds[0], thirds[1]}, 0));
    experts->down_proj[into].copy_(thirds[2].t());
  }
}

}  // namespace hone::nn
