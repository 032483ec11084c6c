#include "hone/nn/branch.h"

#include <torch/nn/module.h>
#include <torch/types.h>

#include <utility>

#include "hone/core/error.h"

namespace hone::nn {
namespace {

/// [units * width] int64: the positions of units that are `width` wide.
at::Tensor positions_of(const std::vector<int64_t>& units, int64_t width) {
  return (torch::tensor(units, at::kLong).unsqueeze(1) * width + at::arange(width, at::kLong))
      .flatten();
}

}  // namespace

void BranchImpl::add_gate() { nn::add_gate(*this, gate, units()); }

std::vector<Cut> BranchImpl::cut_units(const std::vector<int64_t>& keep) {
  const int64_t count = units();
  TORCH_CHECK_VALUE(!keep.empty(), "cut_units must keep at least one of ", count);
  for (size_t i = 0; i < keep.size(); ++i) {
    TORCH_CHECK_VALUE(keep[i] >= 0 && keep[i] < count && (i == 0 || keep[i] > keep[i - 1]),
                      "cut_units must be given ascending positions in [0, ", count, "), got ",
                      keep);
  }
  check_kept(keep);
  const std::vector<int64_t> groups = this->groups();
  std::vector<int64_t> left;  // of the groups
  for (const int64_t unit : keep) {
    if (!groups.empty() && (left.empty() || left.back() != groups[unit])) {
      left.push_back(groups[unit]);
    }
  }
  const bool all_groups = groups.empty() || std::ssize(left) == groups.back() + 1;
  std::vector<Cut> cuts;
  for (UnitAxis axis : axes()) {
    if (axis.groups && all_groups) continue;
    const at::Tensor places = positions_of(axis.groups ? left : keep, axis.width);
    for (Cut& cut :
         axis.outputs ? axis.layer->keep_rows(places) : axis.layer->keep_columns(places)) {
      cuts.push_back({axis.name + "." + cut.parameter, cut.dim, std::move(cut.keep)});
    }
  }
  if (gate) gate->keep_units(keep);
  units_cut(keep);
  return cuts;
}

void MixerImpl::share_projections(MixerImpl&) {
  throw Error(name() + ": only layers of grouped-query attention can share projections");
}

int64_t BranchImpl::flops(int64_t) const {
  int64_t weights = 0;
  for (const auto& module : modules(/*include_self=*/false)) {
    if (const auto* layer = module->as<LinearImpl>())
      weights += layer->options.out * layer->options.in;
  }
  return 2 * weights;
}

}  // namespace hone::nn
