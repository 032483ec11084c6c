#include "hone/nn/merge_experts.h"

#include <torch/types.h>

#include <limits>
#include <map>

#include "hone/kernels/dispatch.h"

namespace hone::nn {
namespace {

/// For each row of gain [n, n] float64 a column of its own, so that the sum is largest: the
/// Hungarian method with potentials (Kuhn 1955, Munkres 1957), in n^3 steps.
std::vector<int64_t> assigned(const at::Tensor& gain) {
  const int64_t n = gain.size(0);
  const auto* cost = kernels::read<double>(gain);
  const double infinity = std::numeric_limits<double>::infinity();
  // Rows and columns count from 1; column 0 holds the row that is being placed.
  std::vector<double> of_row(n + 1, 0), of_column(n + 1, 0);
  std::vector<int64_t> row_of(n + 1, 0), way(n + 1, 0);
  for (int64_t row = 1; row <= n; ++row) {
    row_of[0] = row;
    int64_t column = 0;
    std::vector<double> least(n + 1, infinity);
    std::vector<bool> seen(n + 1, false);
    while (row_of[column] != 0) {
      seen[column] = true;
      const int64_t here = row_of[column];
      int64_t next = 0;
      double step = infinity;
      for (int64_t j = 1; j <= n; ++j) {
        if (seen[j]) continue;
        const double slack = -cost[(here - 1) * n + j - 1] - of_row[here] - of_column[j];
        if (slack < least[j]) {
          least[j] = slack;
          way[j] = column;
        }
        if (least[j] < step) {
          step = least[j];
          next = j;
        }
      }
      for (int64_t j = 0; j <= n; ++j) {
        if (seen[j]) {
          of_row[row_of[j]] += step;
          of_column[j] -= step;
        } else {
          least[j] -= step;
        }
      }
      column = next;
    }
    for (; column != 0; column = way[column]) row_of[column] = row_of[way[column]];
  }
  std::vector<int64_t> columns(n);
  for (int64_t j = 1; j <= n; ++j) columns[row_of[j] - 1] = j - 1;
  return columns;
}

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
