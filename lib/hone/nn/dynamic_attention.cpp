#include "hone/nn/dynamic_attention.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <set>

namespace hone::nn {
namespace {

DynamicAttentionOptions completed(DynamicAttentionOptions o) {
  TORCH_CHECK_VALUE(o.dim > 0 && o.num_heads > 0,
                    "DynamicAttention: dim and num_heads must be positive, got ", o.dim, " and ",
                    o.num_heads);
  if (o.num_kv_heads == 0) o.num_kv_heads = o.num_heads;
  if (o.head_dim == 0) {
    TORCH_CHECK_VALUE(
        o.dim % o.num_heads == 0,
        "DynamicAttention: num_heads must divide dim where head_dim is not given, got ",
        o.num_heads, " and ", o.dim);
    o.head_dim = o.dim / o.num_heads;
  }
  // One layer: to compare it with others would change nothing but rounding.
  o.prune.scope = PruneScope::kLayer;
  return o;
}

}  // namespace

DynamicAttentionImpl::DynamicAttentionImpl(const DynamicAttentionOptions& given,
                                           const at::TensorOptions& tensor_options)
    : options(completed(given)) {
  const DynamicAttentionOptions& o = options;
  attention =
      register_module("attention", Attention(AttentionOptions{.dim = o.dim,
                                                              .num_heads = o.num_heads,
                                                              .num_kv_heads = o.num_kv_heads,
                                                              .head_dim = o.head_dim,
                                                              .qkv_bias = o.bias,
                                                              .output_bias = o.bias,
                                                              .dropout = o.dropout},
                                             tensor_options));
  for (Linear linear :
       {attention->q_proj, attention->k_proj, attention->v_proj, attention->o_proj}) {
    const torch::NoGradGuard no_grad;
    const double bound = 1 / std::sqrt(static_cast<double>(linear->options.in));
    for (at::Tensor& parameter : linear->parameters()) parameter.uniform_(-bound, bound);
  }
  if (o.rotary) rotary_.emplace(RotaryOptions{.head_dim = o.head_dim, .theta = o.rope_theta});
  attention->add_gate();
  off_since_.assign(o.num_heads, -1);
  check_target(o.prune, {units()});
  measure();
}

at::Tensor DynamicAttentionImpl::forward(const at::Tensor& x, const at::Tensor& mask) {
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(2) == options.dim,
                    "DynamicAttention: x must be [B, T, D] with D = ", options.dim, ", got ",
                    x.sizes());
  const int64_t B = x.size(0), T = x.size(1);
  if (mask.defined()) {
    TORCH_CHECK_VALUE(mask.sizes() == at::IntArrayRef({B, T, T}),
                      "DynamicAttention: mask must be [B, T, S] = ", at::IntArrayRef({B, T, T}),
                      ", got ", mask.sizes());
    TORCH_CHECK_VALUE(mask.scalar_type() == at::kBool, "DynamicAttention: mask must be bool, got ",
                      mask.scalar_type());
  }
  at::Tensor cos, sin;
  if (rotary_) {
    const auto one = kernels::Sequences::from_offsets({0, T}, x.device());
    std::tie(cos, sin) =
        rotary_->tables(at::arange(T, x.options().dtype(at::kLong)), one, x.scalar_type());
    cos = cos.repeat({B, 1});
    sin = sin.repeat({B, 1});
  }
  const auto heads = attention->heads(x.reshape({B * T, options.dim}), cos, sin);
  const auto rows = [&](const at::Tensor& h) {
    return h.view({B, T, h.size(1), h.size(2)}).transpose(1, 2);  // [B, heads, T, E]
  };
  std::optional<at::Tensor> may;
  if (mask.defined()) may = (options.causal ? mask.tril() : mask).unsqueeze(1);
  const at::Tensor mixed = at::scaled_dot_product_attention(
      rows(heads.q), rows(heads.k), rows(heads.v), may, is_training() ? options.dropout : 0.0,
      options.causal && !mask.defined(), 1 / std::sqrt(static_cast<double>(options.head_dim)),
      heads.q.size(1) != heads.k.size(1));
  return attention->output(mixed.transpose(1, 2).reshape({B * T, -1, options.head_dim}))
      .view({B, T, options.dim});
}

PruneUnits DynamicAttentionImpl::units() const {
  PruneUnits units{.on = attention->gate->mask(), .off_since = off_since_, .cut = cut_};
  units.groups = attention->groups();
  return units;
}

void DynamicAttentionImpl::measure() {
  const bool measures = options.prune.rule != PruneRule::kRandom && step_ < options.prune.end;
  attention->gate->measure(measures ? std::optional(options.prune.importance) : std::nullopt);
}

void DynamicAttentionImpl::step() {
  ++step_;
  if (prune_due(options.prune, step_)) {
    std::vector<PruneUnits> layers = {units()};
    if (attention->gate->measured()) layers[0].importance = attention->gate->importance();
    prune(options.prune, step_, layers);
    attention->gate->set_mask(layers[0].on);
    attention->gate->reset_importance();
    off_since_ = layers[0].off_since;
  }
  measure();
}

std::vector<Cut> DynamicAttentionImpl::cut() {
  const PruneUnits now = units();
  std::vector<int64_t> keep, off_since;
  std::set<int64_t> groups;
  for (int64_t h = 0; h < std::ssize(now.on); ++h) {
    if (!now.on[h]) {
      groups.insert(now.groups[h]);
      continue;
    }
    keep.push_back(h);
    off_since.push_back(now.off_since[h]);
  }
  if (keep.size() == now.on.size()) return {};
  std::vector<Cut> cuts = attention->cut_units(keep);
  for (Cut& cut : cuts) cut.parameter = "attention." + cut.parameter;
  cut_ += options.prune.whole_groups ? std::ssize(groups) : std::ssize(now.on) - std::ssize(keep);
  off_since_ = std::move(off_since);
  return cuts;
}

DynamicAttentionState DynamicAttentionImpl::state() const {
  return {step_, cut_, off_since_, attention->gate->state()};
}

void DynamicAttentionImpl::restore(const DynamicAttentionState& state) {
  TORCH_CHECK_VALUE(state.off_since.size() == off_since_.size(),
                    "DynamicAttention: the state must be of ", off_since_.size(), " heads, got ",
                    state.off_since.size(), "; cut the same heads first");
  attention->gate->restore(state.gate);
  step_ = state.step;
  cut_ = state.cut;
  off_since_ = state.off_since;
  measure();
}

}  // namespace hone::nn
