#include "hone/nn/experts.h"

#include <torch/types.h>

#include <cmath>
#include <utility>

#include "hone/core/error.h"
#include "hone/kernels/dispatch.h"

namespace hone::nn {
namespace {

const std::string kGateUp = "gate_up_proj", kDown = "down_proj";

}  // namespace

ExpertsImpl::ExpertsImpl(const ExpertsOptions& options, const at::TensorOptions& tensor_options)
    : options(options) {
  const auto add = [&](const std::string& name, int64_t out, int64_t in) {
    return register_parameter(name, at::empty({options.count, out, in}, tensor_options));
  };
  gate_up_proj = add(kGateUp, 2 * options.hidden, options.dim);
  down_proj = add(kDown, options.dim, options.hidden);
}

at::Tensor ExpertsImpl::forward(const at::Tensor& x, const at::Tensor& weights,
                                const kernels::ExpertOrder& order) const {
  return kernels::mixed_experts(x, weights, gate_up_proj, down_proj, order, factors(gate_up_),
                                factors(down_), options.limit);
}

kernels::ExpertLora ExpertsImpl::factors(const Stack& stack) const {
  const at::Tensor &a = stack.lora_A, &b = stack.lora_B;
  if (!a.defined()) return {};
  return {a.view({options.count, -1, a.size(1)}),
          b.view({b.size(0), -1, options.count}).permute({2, 0, 1}), stack.scale};
}

std::vector<ModuleTensor> ExpertsImpl::own_tensors() const {
  std::vector<ModuleTensor> own = {{.name = kGateUp, .tensor = gate_up_proj, .outputs = 0},
                                   {.name = kDown, .tensor = down_proj, .outputs = 0}};
  const auto add = [&](const Stack& stack, const std::string& prefix, const std::string& weight) {
    if (!stack.lora_A.defined()) return;
    own.push_back({.name = prefix + "lora_A.weight",
                   .tensor = stack.lora_A,
                   .role = Role::kAdapter,
                   .parameter = weight + "_lora_A"});
    own.push_back({.name = prefix + "lora_B.weight",
                   .tensor = stack.lora_B,
                   .role = Role::kAdapter,
                   .parameter = weight + "_lora_B"});
  };
  add(gate_up_, down_.lora_A.defined() ? "base_layer." : "", kGateUp);
  add(down_, "", kDown);
  return own;
}

std::vector<Cut> ExpertsImpl::keep_rows(const at::Tensor& keep) {
  std::vector<Cut> cuts;
  const auto cut_stack = [&](const std::string& name, at::Tensor& weight, Stack& stack) {
    cut(name, weight, 0, keep, cuts);
    if (!stack.lora_A.defined()) return;
    const int64_t rank = stack.lora_A.size(0) / options.count;
    const at::Tensor ranks = at::arange(rank, at::kLong);
    const at::Tensor rows = (keep.unsqueeze(1) * rank + ranks).flatten();
    const at::Tensor columns = (ranks.unsqueeze(1) * options.count + keep).flatten();
    cut(name + "_lora_A", stack.lora_A, 0, rows, cuts);
    cut(name + "_lora_B", stack.lora_B, 1, columns, cuts);
  };
  cut_stack(kGateUp, gate_up_proj, gate_up_);
  cut_stack(kDown, down_proj, down_);
  options.count = keep.numel();
  return cuts;
}

const std::vector<std::string>& ExpertsImpl::adaptable() {
  static const std::vector<std::string> names = {kGateUp, kDown};
  return names;
}

void ExpertsImpl::add_lora(const std::string& weight, const LoraSpec& spec,
                           at::Generator generator) {
  if (spec.dora || spec.dropout > 0) {
    throw Error("Experts: an adapter on " + weight +
                " has neither DoRA nor dropout, as in PEFT: set lora_dropout 0 and use_dora false");
  }
  at::Tensor& base = weight == kDown ? down_proj : gate_up_proj;
  Stack& stack = weight == kDown ? down_ : gate_up_;
  if (stack.lora_A.defined()) throw Error("Experts: " + weight + " has an adapter already");
  const int64_t out = base.size(1), in = base.size(2), ranks = options.count * spec.rank;
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  at::Tensor a = at::empty({ranks, in}, base.is_meta() ? at::kMeta : at::kCPU);
  if (!base.is_meta()) a.uniform_(-bound, bound, std::move(generator));
  stack = {register_parameter(weight + "_lora_A", a.to(base.options())),
           register_parameter(weight + "_lora_B", at::zeros({out, ranks}, base.options())),
           spec.scale};
  base.set_requires_grad(false);
}

void ExpertsImpl::merge_lora() {
  const at::NoGradGuard no_grad;
  for (const auto& [stack, base] : {std::pair(&gate_up_, gate_up_proj), {&down_, down_proj}}) {
    const auto [a, b, scale] = factors(*stack);
    if (!a.defined()) continue;
    const at::ScalarType wide = kernels::wide_type(base);
    for (int64_t e = 0; e < options.count; ++e) {
      base[e].copy_(at::addmm(base[e].to(wide), b[e].to(wide), a[e].to(wide), 1, scale));
    }
  }
  drop_lora();
}

void ExpertsImpl::drop_lora() {
  for (const std::string& weight : adaptable()) {
    for (const char* factor : {"_lora_A", "_lora_B"}) {
      if (parameters_.contains(weight + factor)) parameters_.erase(weight + factor);
    }
  }
  gate_up_ = down_ = {};
  gate_up_proj.set_requires_grad(true);
  down_proj.set_requires_grad(true);
}

}  // namespace hone::nn
