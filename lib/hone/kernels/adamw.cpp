#include "hone/kernels/adamw.h"

#include <torch/torch.h>

#include "hone/core/error.h"

namespace hone::kernels {

FusedAdamW::FusedAdamW(const std::vector<std::pair<std::string, at::Tensor>>& parameters,
                       const AdamWOptions& options)
    : options_(options) {
  const torch::NoGradGuard no_grad;
  for (const auto& [name, parameter] : parameters) {
    const bool half = parameter.scalar_type() == at::kBFloat16 || parameter.scalar_type() == at::kHalf;
    Slot slot{name, parameter};
    slot.master = half ? parameter.to(at::kFloat) : parameter.detach();
    slot.moment1 = at::zeros_like(slot.master);
    slot.moment2 = at::zeros_like(slot.master);
    slot.steps = at::zeros({}, slot.master.options().dtype(at::kFloat));
    slot.decays = parameter.dim() >= 2;
    slots_.push_back(std::move(slot));
  }
}

double FusedAdamW::scale_and_clip(double factor, double max_norm) {
  const torch::NoGradGuard no_grad;
  std::vector<at::Tensor> grads;
  for (const Slot& slot : slots_) {
    if (slot.parameter.grad().defined()) grads.push_back(slot.parameter.grad());
  }
  if (grads.empty()) return 0;
  std::vector<at::Tensor> norms;
  for (const at::Tensor& grad : grads) norms.push_back(grad.norm(2, at::kFloat));
  const double norm = at::stack(norms).to(at::kDouble).norm().item<double>() * factor;
  if (max_norm > 0 && norm > max_norm) factor *= max_norm / (norm + 1e-6);
  at::_foreach_mul_(grads, factor);
  return norm;
}

void FusedAdamW::step() {
  const torch::NoGradGuard no_grad;
  for (const bool decays : {true, false}) {
    std::vector<at::Tensor> masters, grads, moments1, moments2, steps;
    for (Slot& slot : slots_) {
      if (slot.decays != decays || !slot.parameter.grad().defined()) continue;
      slot.steps.add_(1);
      masters.push_back(slot.master);
      grads.push_back(slot.parameter.grad().to(slot.master.scalar_type()));
      moments1.push_back(slot.moment1);
      moments2.push_back(slot.moment2);
      steps.push_back(slot.steps);
    }
    if (masters.empty()) continue;
    at::_fused_adamw_(masters, grads, moments1, moments2, {}, steps, options_.lr, options_.beta1,
                      options_.beta2, decays ? options_.weight_decay : 0.0, options_.eps,
                      /*amsgrad=*/false, /*maximize=*/false);
  }
  for (Slot& slot : slots_) {
    if (slot.master.scalar_type() != slot.parameter.scalar_type()) slot.parameter.copy_(slot.master);
  }
}

void FusedAdamW::zero_grad() {
  for (Slot& slot : slots_) slot.parameter.mutable_grad() = at::Tensor();
}

std::map<std::string, at::Tensor> FusedAdamW::state() const {
  std::map<std::string, at::Tensor> state;
  for (const Slot& slot : slots_) {
    state["exp_avg." + slot.name] = slot.moment1;
    state["exp_avg_sq." + slot.name] = slot.moment2;
    state["step." + slot.name] = slot.steps;
    if (slot.master.scalar_type() != slot.parameter.scalar_type()) {
      state["master." + slot.name] = slot.master;
    }
  }
  return state;
}

void FusedAdamW::load_state(const std::map<std::string, at::Tensor>& saved) {
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : state()) {
    const auto found = saved.find(name);
    if (found == saved.end() || found->second.sizes() != tensor.sizes()) {
      throw Error("optimiser state: \"" + name + "\" is missing or of another shape");
    }
    tensor.copy_(found->second);
  }
}

}  // namespace hone::kernels
