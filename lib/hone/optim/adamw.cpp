#include "hone/optim/adamw.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

#include "hone/core/error.h"
#include "hone/kernels/cpu/rows.h"
#include "hone/kernels/dispatch.h"
#include "hone/machine/parallel.h"

namespace hone::optim {
namespace {

constexpr int64_t kBlock = 1 << 15;     // elements: their six arrays fit in a core's L2 cache
constexpr int64_t kMeasured = 1 << 18;  // elements measured at a time on the CPU

/// What one step does to a number; the names and the order of operations are torch.optim.AdamW's.
template <class T>
struct Update {
  Update(const AdamWOptions& options, double grad_factor, double steps, bool decays)
      : grad_factor(static_cast<T>(grad_factor)),
        keep(static_cast<T>(decays ? 1 - options.lr * options.weight_decay : 1)),
        gain1(static_cast<T>(1 - options.beta1)),
        beta2(static_cast<T>(options.beta2)),
        gain2(static_cast<T>(1 - options.beta2)),
        step_size(static_cast<T>(options.lr / (1 - std::pow(options.beta1, steps)))),
        root_correction(static_cast<T>(std::sqrt(1 - std::pow(options.beta2, steps)))),
        eps(static_cast<T>(options.eps)) {}

  void operator()(T& p, T gradient, T& m, T& v) const {
    const T g = gradient * grad_factor;
    m += gain1 * (g - m);
    v = beta2 * v + gain2 * g * g;
    p = p * keep - step_size * m / (std::sqrt(v) / root_correction + eps);
  }

  T grad_factor, keep, gain1, beta2, gain2, step_size, root_correction, eps;
};

template <class T, class Grad>
void update_range(const Update<T>& update, int64_t count, T* __restrict master,
                  const Grad* __restrict grad, T* __restrict moment1, T* __restrict moment2) {
  for (int64_t i = 0; i < count; ++i) {
    update(master[i], static_cast<T>(grad[i]), moment1[i], moment2[i]);
  }
}

template <class Grad>
double sum_of_squares(const Grad* grad, int64_t count) {
  return kernels::sum_row<double>(count, [&](int64_t i) {
    const auto g = static_cast<double>(grad[i]);
    return g * g;
  });
}

/// A run of a tensor's numbers in the order of its memory, which they fill.
at::Tensor flat(const at::Tensor& x, int64_t begin, int64_t count) {
  return x.as_strided({count}, {1}, x.storage_offset() + begin);
}

void check_dense(const std::string& name, const at::Tensor& parameter) {
  TORCH_CHECK_VALUE(parameter.is_non_overlapping_and_dense(), "FusedAdamW: \"", name,
                    "\" must fill its memory, got sizes ", parameter.sizes(), " and strides ",
                    parameter.strides());
}

}  // namespace

/// A run of elements of one slot.
struct FusedAdamW::Block {
  size_t slot;
  int64_t begin, count;
};

FusedAdamW::FusedAdamW(const std::vector<std::pair<std::string, at::Tensor>>& parameters,
                       const AdamWOptions& options)
    : options_(options) {
  const torch::NoGradGuard no_grad;
  for (const auto& [name, parameter] : parameters) {
    check_dense(name, parameter);
    Slot slot{name, parameter};
    slot.master = parameter.detach().to(kernels::wide_type(parameter));
    slot.moment1 = at::zeros_like(slot.master);
    slot.moment2 = at::zeros_like(slot.master);
    slot.steps = at::zeros({}, slot.master.options().dtype(at::kFloat));
    slot.decays = parameter.dim() >= 2;
    slots_.push_back(std::move(slot));
  }
}

FusedAdamW::Slot& FusedAdamW::slot(const std::string& name) {
  for (Slot& slot : slots_) {
    if (slot.name == name) return slot;
  }
  throw Error("FusedAdamW: has no parameter \"" + name + "\"");
}

bool FusedAdamW::has(const std::string& name) const {
  return std::any_of(slots_.begin(), slots_.end(),
                     [&](const Slot& slot) { return slot.name == name; });
}

void FusedAdamW::cut(const std::string& name, const at::Tensor& parameter, int64_t dim,
                     const at::Tensor& keep) {
  const torch::NoGradGuard no_grad;
  Slot& old = slot(name);
  std::vector<int64_t> sizes = old.parameter.sizes().vec();
  sizes.at(dim) = keep.numel();
  TORCH_CHECK_VALUE(
      parameter.sizes() == sizes && parameter.options().type_equal(old.parameter.options()),
      "FusedAdamW: \"", name, "\" is cut to ", at::IntArrayRef(sizes), " ", old.parameter.options(),
      ", got ", parameter.sizes(), " ", parameter.options());
  check_dense(name, parameter);
  const at::Tensor index = keep.to(parameter.device());
  const auto sliced = [&](const at::Tensor& state) {
    // Laid out as the parameter, as step() needs it.
    return at::empty_like(parameter, state.options()).copy_(state.index_select(dim, index));
  };
  old.master = old.has_master() ? sliced(old.master) : parameter.detach();
  old.moment1 = sliced(old.moment1);
  old.moment2 = sliced(old.moment2);
  old.parameter = parameter;
}

void FusedAdamW::remove(const std::string& name) {
  slots_.erase(slots_.begin() + (&slot(name) - slots_.data()));
}

at::Tensor FusedAdamW::Slot::gradient() const {
  if (!parameter.requires_grad()) return {};
  const at::Tensor& grad = parameter.grad();
  if (!grad.defined() || grad.strides() == parameter.strides()) return grad;
  return at::empty_like(parameter).copy_(grad);
}

std::vector<FusedAdamW::Block> FusedAdamW::blocks(const std::vector<at::Tensor>& grads,
                                                  int64_t most) const {
  std::vector<Block> blocks;
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    if (!grads[slot].defined()) continue;
    const int64_t count = grads[slot].numel();
    for (int64_t begin = 0; begin < count; begin += most) {
      blocks.push_back({slot, begin, std::min(most, count - begin)});
    }
  }
  return blocks;
}

double FusedAdamW::scale_and_clip(double factor, double max_norm) {
  const torch::NoGradGuard no_grad;
  std::vector<at::Tensor> grads;
  for (const Slot& slot : slots_) grads.push_back(slot.gradient());
  double squares = 0;
  if (!slots_.empty() && slots_[0].parameter.is_cpu()) {
    const std::vector<Block> parts = blocks(grads, kBlock);
    std::vector<double> sums(parts.size());
    machine::parallel_for(parts.size(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const auto& [slot, first, count] = parts[i];
        AT_DISPATCH_FLOATING_TYPES_AND2(
            at::kBFloat16, at::kHalf, grads[slot].scalar_type(), "FusedAdamW",
            [&] { sums[i] = sum_of_squares(kernels::read<scalar_t>(grads[slot]) + first, count); });
      }
    });
    for (const double sum : sums) squares += sum;
  } else {
    std::vector<at::Tensor> norms;
    for (const at::Tensor& grad : grads) {
      if (grad.defined()) norms.push_back(grad.norm(2, at::kFloat));
    }
    if (!norms.empty()) squares = at::stack(norms).to(at::kDouble).square().sum().item<double>();
  }
  const double norm = std::sqrt(squares) * factor;
  grad_factor_ = max_norm > 0 && norm > max_norm ? factor * max_norm / (norm + 1e-6) : factor;
  return norm;
}

std::vector<at::Tensor> FusedAdamW::begin_step() {
  std::vector<at::Tensor> grads;
  for (Slot& slot : slots_) {
    grads.push_back(slot.gradient());
    slot.stepped = grads.back().defined();
    if (slot.stepped) slot.steps.add_(1);
  }
  return grads;
}

void FusedAdamW::step() {
  if (slots_.empty() || !slots_[0].parameter.is_cpu()) return step_by_groups();
  const torch::NoGradGuard no_grad;
  step_on_cpu(begin_step());
  grad_factor_ = 1;
}

void FusedAdamW::step_on_cpu(const std::vector<at::Tensor>& grads) {
  const std::vector<Block> parts = blocks(grads, kBlock);
  const auto update_block = [&]<class T, class Grad>(Block block, T*, Grad*) {
    Slot& slot = slots_[block.slot];
    const Update<T> update(options_, grad_factor_, *kernels::read<float>(slot.steps), slot.decays);
    T* master = slot.master.mutable_data_ptr<T>() + block.begin;
    update_range(update, block.count, master, kernels::read<Grad>(grads[block.slot]) + block.begin,
                 slot.moment1.mutable_data_ptr<T>() + block.begin,
                 slot.moment2.mutable_data_ptr<T>() + block.begin);
    if constexpr (!std::is_same_v<T, Grad>) {
      Grad* parameter = slot.parameter.mutable_data_ptr<Grad>() + block.begin;
      for (int64_t i = 0; i < block.count; ++i) parameter[i] = static_cast<Grad>(master[i]);
    }
  };
  machine::parallel_for(parts.size(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      AT_DISPATCH_FLOATING_TYPES_AND2(
          at::kBFloat16, at::kHalf, grads[parts[i].slot].scalar_type(), "FusedAdamW", [&] {
            using Wide = std::conditional_t<std::is_same_v<scalar_t, double>, double, float>;
            update_block(parts[i], static_cast<Wide*>(nullptr), static_cast<scalar_t*>(nullptr));
          });
    }
  });
}

void FusedAdamW::step_by_groups(int64_t most) {
  const torch::NoGradGuard no_grad;
  const std::vector<at::Tensor> grads = begin_step();
  for (const bool decays : {true, false}) {
    std::vector<Block> group;
    int64_t held = 0;
    for (const Block& block : blocks(grads, most)) {
      if (slots_[block.slot].decays != decays) continue;
      if (held + block.count > most) {
        step_group(group, grads, decays);
        group.clear();
        held = 0;
      }
      group.push_back(block);
      held += block.count;
    }
    step_group(group, grads, decays);
  }
  for (Slot& slot : slots_) {
    if (slot.has_master()) slot.parameter.copy_(slot.master);
  }
  grad_factor_ = 1;
}

void FusedAdamW::step_group(const std::vector<Block>& group, const std::vector<at::Tensor>& grads,
                            bool decays) {
  if (group.empty()) return;
  std::vector<at::Tensor> masters, scaled, moments1, moments2, steps;
  bool copies = true;
  for (const Block& block : group) {
    const Slot& slot = slots_[block.slot];
    const auto part = [&](const at::Tensor& x) { return flat(x, block.begin, block.count); };
    masters.push_back(part(slot.master));
    scaled.push_back(part(grads[block.slot]).to(slot.master.scalar_type()));
    copies = copies && slot.has_master();
    moments1.push_back(part(slot.moment1));
    moments2.push_back(part(slot.moment2));
    steps.push_back(slot.steps);
  }
  if (grad_factor_ != 1 && copies) {
    at::_foreach_mul_(scaled, grad_factor_);
  } else if (grad_factor_ != 1) {
    scaled = at::_foreach_mul(scaled, grad_factor_);
  }
  at::_fused_adamw_(masters, scaled, moments1, moments2, {}, steps, options_.lr, options_.beta1,
                    options_.beta2, decays ? options_.weight_decay : 0.0, options_.eps,
                    /*amsgrad=*/false, /*maximize=*/false);
}

std::map<std::string, UpdateSquares> FusedAdamW::last_update() const {
  const torch::NoGradGuard no_grad;
  std::map<std::string, UpdateSquares> all;
  for (const Slot& slot : slots_) {
    // A step left p = p_before * keep - adam, of which p, keep and adam are known.
    const double decay = slot.decays ? options_.lr * options_.weight_decay : 0, keep = 1 - decay;
    if (!slot.stepped || keep == 0) continue;
    const auto steps = slot.steps.item<double>();
    const double rate = options_.lr / (1 - std::pow(options_.beta1, steps));
    const double root = std::sqrt(1 - std::pow(options_.beta2, steps));
    const auto zero = slot.master.options().dtype(at::kDouble);
    UpdateSquares squares{at::zeros({}, zero), at::zeros({}, zero)};
    const int64_t count = slot.master.numel(), most = slot.master.is_cpu() ? kMeasured : kStepGroup;
    for (int64_t begin = 0; begin < count; begin += most) {
      const auto part = [&](const at::Tensor& x) {
        return flat(x, begin, std::min(most, count - begin));
      };
      const at::Tensor p = part(slot.master);
      at::Tensor change = part(slot.moment2).sqrt().div_(root).add_(options_.eps);
      change = change.reciprocal_().mul_(part(slot.moment1)).mul_(rate);
      change.add_(p, decay).div_(keep);  // p_before - p
      squares.update.add_(change.square().sum(at::kDouble));
      squares.weights.add_(change.add_(p).square_().sum(at::kDouble));
    }
    all.emplace(slot.name, std::move(squares));
  }
  return all;
}

void FusedAdamW::zero_grad() {
  for (Slot& slot : slots_) slot.parameter.mutable_grad() = at::Tensor();
  grad_factor_ = 1;
}

std::map<std::string, at::Tensor> FusedAdamW::parameters() const {
  std::map<std::string, at::Tensor> parameters;
  for (const Slot& slot : slots_) parameters.emplace(slot.name, slot.parameter);
  return parameters;
}

std::map<std::string, at::Tensor> FusedAdamW::state() const {
  std::map<std::string, at::Tensor> state;
  for (const Slot& slot : slots_) {
    state["exp_avg." + slot.name] = slot.moment1;
    state["exp_avg_sq." + slot.name] = slot.moment2;
    state["step." + slot.name] = slot.steps;
    if (slot.has_master()) state["master." + slot.name] = slot.master;
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

}  // namespace hone::optim
