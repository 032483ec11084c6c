#include "hone/nn/gate.h"

#include <torch/autograd.h>
#include <torch/custom_class.h>
#include <torch/types.h>

#include <algorithm>
#include <string>

#include "hone/core/error.h"

namespace hone::nn {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Lives as long as the gate and the graphs that report to it.
struct GateImpl::Tally {
  std::optional<Importance> kind;  // of the sums; none before the first measure()
  bool on = false;
  // [U] and [1] float64 on the units' device, so that no batch waits for it; undefined before the
  // first.
  at::Tensor sums, batches;

  void reset() { sums = batches = at::Tensor(); }

  /// grad, x [T, U, E] or [T, U].
  void add(const at::Tensor& grad, const at::Tensor& x) {
    if (!on || x.numel() == 0) return;
    const at::Tensor batch = importance(wide(grad), wide(x)).to(at::kDouble);
    const at::Tensor finite = batch.isfinite().all();
    const at::Tensor added = at::where(finite, batch, at::zeros({}, batch.options()));
    const at::Tensor one = finite.to(at::kDouble);
    sums = sums.defined() ? sums.to(batch.device()) + added : added;
    batches = batches.defined() ? batches.to(batch.device()) + one : one;
  }

 private:
  static at::Tensor wide(const at::Tensor& x) {
    return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
  }

  at::Tensor importance(const at::Tensor& grad, const at::Tensor& x) const {
    if (*kind == Importance::kOutputNorm) {
      const at::Tensor norms = x.dim() == 2 ? x.abs() : x.norm(2, at::IntArrayRef{2});
      return norms.mean(0);
    }
    const at::Tensor product = grad * x;
    const at::Tensor g = x.dim() == 2 ? product.sum(0) : product.sum(at::IntArrayRef{0, 2});
    return *kind == Importance::kTaylor ? g.square() : g.abs();
  }
};

namespace {

using MaybeTensor = std::optional<at::Tensor>;

MaybeTensor if_defined(const at::Tensor& x) { return x.defined() ? MaybeTensor(x) : std::nullopt; }

at::Tensor switched(const at::Tensor& x, const at::Tensor& mask, const at::Tensor& off) {
  if (!mask.defined()) return x;
  return at::where(mask, x, off.defined() ? off : at::zeros({}, x.options()));
}

}  // namespace

/// The gate while it measures. No `mask`: all units are on.
class GateImpl::Function : public torch::autograd::Function<Function> {
  struct Holder : torch::CustomClassHolder {
    explicit Holder(std::shared_ptr<Tally> tally) : tally(std::move(tally)) {}
    std::shared_ptr<Tally> tally;
  };

 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const MaybeTensor& maybe_off, const MaybeTensor& maybe_mask,
                            const MaybeTensor& anchor, std::shared_ptr<Tally> tally) {
    const at::Tensor off = maybe_off.value_or(at::Tensor());
    const at::Tensor mask = maybe_mask.value_or(at::Tensor());
    context->save_for_backward({x, off, mask});
    context->saved_data["tally"] =
        c10::IValue::make_capsule(c10::make_intrusive<Holder>(std::move(tally)));
    return switched(x, mask, off);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &off = saved[1], &mask = saved[2], &grad = grads[0];
    auto holder =
        c10::static_intrusive_pointer_cast<Holder>(context->saved_data.at("tally").toCapsule());
    holder->tally->add(grad, off.defined() ? x - off : x);
    if (!mask.defined()) return {grad, {}, {}, {}, {}};
    const at::Tensor zero = at::zeros({}, grad.options());
    return {at::where(mask, grad, zero),
            off.defined() ? at::where(mask, zero, grad) : at::Tensor(),
            {},
            {},
            {}};
  }
};

GateImpl::GateImpl(int64_t units)
    : on_(units, true), anchor_(torch::zeros({}).requires_grad_()), tally_(new Tally) {
  TORCH_CHECK_VALUE(units > 0, "Gate: units must be positive, got ", units);
  mask_ = register_buffer("mask", at::ones({units}, at::kBool));
}

at::Tensor GateImpl::forward(const at::Tensor& x, const at::Tensor& off) {
  TORCH_CHECK_VALUE((x.dim() == 2 || x.dim() == 3) && x.size(1) == units(),
                    "Gate: x must be [T, U, E] or [T, U] with U = ", units(), ", got ", x.sizes());
  TORCH_CHECK_VALUE(!off.defined() || off.sizes() == x.sizes(),
                    "Gate: off must have the shape of x, ", x.sizes(), ", got ", off.sizes());
  at::Tensor mask;
  if (alive() < units()) {
    mask = mask_.to(x.device(), at::kBool);
    if (x.dim() == 3) mask = mask.unsqueeze(1);
  }
  if (measuring()) {
    // The anchor makes a graph where nothing below the gate trains; it gets no gradient.
    const at::Tensor anchor = x.requires_grad() ? at::Tensor() : anchor_;
    return Function::apply(x, if_defined(off), if_defined(mask), if_defined(anchor), tally_);
  }
  return switched(x, mask, off);
}

int64_t GateImpl::alive() const { return std::count(on_.begin(), on_.end(), true); }

at::Tensor GateImpl::off() const { return alive() == units() ? at::Tensor() : mask_.logical_not(); }

void GateImpl::set_mask(std::vector<bool> on) {
  TORCH_CHECK_VALUE(on.size() == on_.size(), "Gate: mask must be of the ", on_.size(),
                    " units, got ", on.size());
  on_ = std::move(on);
  at::Tensor fresh = at::empty({units()}, at::kBool);
  for (int64_t u = 0; u < units(); ++u) fresh.data_ptr<bool>()[u] = on_[u];
  const at::NoGradGuard no_grad;
  mask_.copy_(fresh);
}

void GateImpl::measure(std::optional<Importance> kind) {
  tally_->on = kind.has_value();
  if (!kind) return;
  if (tally_->kind && tally_->kind != kind) tally_->reset();
  tally_->kind = kind;
}

std::optional<Importance> GateImpl::measured() const {
  return tally_->on ? tally_->kind : std::nullopt;
}

bool GateImpl::measuring() const {
  return tally_->on && is_training() && at::GradMode::is_enabled();
}

int64_t GateImpl::batches() const {
  return tally_->batches.defined() ? tally_->batches.item().toLong() : 0;
}

std::vector<double> GateImpl::importance() const {
  GateState now = state();
  if (now.batches == 0) {
    throw Error(
        "Gate: no importance was measured; call measure() and run a backward pass in training "
        "mode");
  }
  for (double& sum : now.sums) sum /= static_cast<double>(now.batches);
  return now.sums;
}

void GateImpl::reset_importance() { tally_->reset(); }

GateState GateImpl::state() const {
  GateState state{on_, std::vector<double>(on_.size()), batches()};
  if (tally_->sums.defined()) {
    const at::Tensor sums = tally_->sums.cpu();
    std::copy_n(sums.data_ptr<double>(), units(), state.sums.begin());
  }
  return state;
}

void GateImpl::restore(const GateState& state) {
  TORCH_CHECK_VALUE(state.sums.size() == on_.size() && state.batches >= 0,
                    "Gate: the state must have the sums of ", on_.size(), " units, got ",
                    state.sums.size());
  set_mask(state.mask);
  tally_->sums = torch::tensor(state.sums, at::kDouble).to(mask_.device());
  tally_->batches = at::scalar_tensor(state.batches, at::kDouble);
}

void GateImpl::keep_units(const std::vector<int64_t>& keep) {
  const GateState old = state();
  GateState kept{{}, {}, old.batches};
  for (const int64_t unit : keep) {
    TORCH_CHECK_VALUE(unit >= 0 && unit < units(), "Gate: unit ", unit, " is not one of ", units());
    kept.mask.push_back(old.mask[unit]);
    kept.sums.push_back(old.sums[unit]);
  }
  TORCH_CHECK_VALUE(!keep.empty(), "Gate: at least one unit must be kept");
  on_ = kept.mask;
  mask_.set_data(at::empty({units()}, mask_.options()));
  restore(kept);
}

void add_gate(torch::nn::Module& module, Gate& gate, int64_t units, const std::string& name) {
  if (gate) return;
  gate = module.register_module(name, Gate(units));
  gate->train(module.is_training());
  gate->to(module.parameters().front().device());
}

}  // namespace hone::nn
