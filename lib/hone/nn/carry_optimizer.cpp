#include "hone/nn/carry_optimizer.h"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <torch/nn/module.h>
#include <torch/optim.h>
#include <torch/types.h>

#include <map>
#include <memory>
#include <set>

#include "hone/core/error.h"

namespace hone::nn {
namespace {

using State = std::unique_ptr<torch::optim::OptimizerParamState>;

/// A tensor of the old parameter's shape as the cuts leave it; others stay as they are.
at::Tensor sliced(const at::Tensor& tensor, const at::Tensor& parameter,
                  const std::vector<const Cut*>& cuts) {
  if (!tensor.defined() || tensor.sizes() != parameter.sizes()) return tensor;
  at::Tensor result = tensor.detach();
  for (const Cut* cut : cuts) {
    result = result.index_select(cut->dim, cut->keep.to(result.device()));
  }
  return result;
}

/// Copies the state if it is of type T, its tensors changed by `slice`.
template <class T, class Change>
State changed(const torch::optim::OptimizerParamState& state, Change&& change) {
  const auto* known = dynamic_cast<const T*>(&state);
  if (!known) return nullptr;
  auto copy = std::make_unique<T>(*known);
  change(*copy);
  return copy;
}

template <class Slice>
State sliced_state(const torch::optim::OptimizerParamState& state, Slice&& slice) {
  using namespace torch::optim;
  const auto moments = [&](auto& s) {
    s.exp_avg(slice(s.exp_avg()));
    s.exp_avg_sq(slice(s.exp_avg_sq()));
    s.max_exp_avg_sq(slice(s.max_exp_avg_sq()));
  };
  if (State s = changed<AdamWParamState>(state, moments)) return s;
  if (State s = changed<AdamParamState>(state, moments)) return s;
  if (State s = changed<SGDParamState>(
          state, [&](auto& s) { s.momentum_buffer(slice(s.momentum_buffer())); })) {
    return s;
  }
  if (State s = changed<RMSpropParamState>(state, [&](auto& s) {
        s.square_avg(slice(s.square_avg()));
        s.momentum_buffer(slice(s.momentum_buffer()));
        s.grad_avg(slice(s.grad_avg()));
      })) {
    return s;
  }
  if (State s = changed<AdagradParamState>(state, [&](auto& s) { s.sum(slice(s.sum())); }))
    return s;
  throw Error(
      "carry: the optimiser's state of a parameter is none of Adam, AdamW, SGD, RMSprop or "
      "Adagrad, and cannot be cut; begin a new optimiser");
}

/// What takes a parameter's place; undefined: it leaves.
struct Change {
  at::Tensor parameter;
  State state;
};

}  // namespace

NamedParameters named_parameters(const torch::nn::Module& module) {
  NamedParameters parameters;
  for (const auto& item : module.named_parameters()) {
    parameters.emplace_back(item.key(), item.value());
  }
  return parameters;
}

void carry(torch::optim::Optimizer& optimizer, const NamedParameters& before,
           const NamedParameters& after, const std::vector<Cut>& cuts) {
  const std::map<std::string, at::Tensor> left(after.begin(), after.end());
  std::map<void*, Change> changes;
  for (const auto& [name, old] : before) {
    const auto found = left.find(name);
    if (found != left.end() && found->second.is_same(old)) continue;
    void* const key = old.unsafeGetTensorImpl();
    Change& change = changes[key];
    if (found == left.end()) continue;
    change.parameter = found->second;
    std::vector<const Cut*> own;
    for (const Cut& cut : cuts) {
      if (cut.parameter == name) own.push_back(&cut);
    }
    const at::Tensor shape = sliced(old, old, own);
    if (shape.sizes() != change.parameter.sizes()) {
      throw Error(fmt::format("carry: the cuts of {} leave {} of {}, but the parameter now is {}",
                              name, fmt::streamed(shape.sizes()), fmt::streamed(old.sizes()),
                              fmt::streamed(change.parameter.sizes())));
    }
    const auto state = optimizer.state().find(key);
    if (state == optimizer.state().end()) continue;
    change.state = sliced_state(*state->second,
                                [&](const at::Tensor& tensor) { return sliced(tensor, old, own); });
  }
  for (auto& group : optimizer.param_groups()) {
    std::vector<at::Tensor> kept;
    for (const at::Tensor& parameter : group.params()) {
      const auto change = changes.find(parameter.unsafeGetTensorImpl());
      if (change == changes.end()) {
        kept.push_back(parameter);
      } else if (change->second.parameter.defined()) {
        kept.push_back(change->second.parameter);
      }
    }
    group.params() = std::move(kept);
  }
  for (auto& [key, change] : changes) {
    optimizer.state().erase(key);
    if (change.state) {
      optimizer.state()[change.parameter.unsafeGetTensorImpl()] = std::move(change.state);
    }
  }
}

}  // namespace hone::nn
