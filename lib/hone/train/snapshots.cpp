#include "hone/train/snapshots.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <vector>

#include "hone/core/error.h"
#include "hone/io/tensors.h"

namespace hone::train {
namespace {

// In the file: "<name>/parameter/<tensor>" and "<name>/state/<tensor>".
constexpr const char* kParameter = "/parameter/";
constexpr const char* kState = "/state/";

using Tensors = std::map<std::string, at::Tensor>;

/// Whether copies of `a` have room for `b`.
bool same_shapes(const Tensors& a, const Tensors& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.sizes() == y.second.sizes();
  });
}

/// Makes `copies` those of `tensors`, in the memory that they have where it fits.
void copy(const Tensors& tensors, Tensors& copies) {
  if (!same_shapes(copies, tensors)) copies.clear();  // before anything new is made
  for (const auto& [name, tensor] : tensors) {
    const auto copy = copies.find(name);
    if (copy == copies.end()) {
      copies.emplace(name, tensor.detach().clone());
    } else {
      copy->second.copy_(tensor);
    }
  }
}

}  // namespace

void Snapshots::take(const std::string& name, int64_t step) {
  const torch::NoGradGuard no_grad;
  Snapshot& snapshot = snapshots_[name];
  snapshot.step = step;
  copy(optimizer_.parameters(), snapshot.parameters);
  copy(optimizer_.state(), snapshot.state);
}

int64_t Snapshots::restore(const std::string& name) {
  const auto found = snapshots_.find(name);
  if (found == snapshots_.end()) throw Error("there is no snapshot " + name + " to go back to");
  const torch::NoGradGuard no_grad;
  for (const auto& [tensor, parameter] : optimizer_.parameters()) {
    parameter.copy_(found->second.parameters.at(tensor));
  }
  optimizer_.load_state(found->second.state);
  return found->second.step;
}

std::vector<std::string> Snapshots::refresh(int64_t step) {
  if (snapshots_.empty()) return {};  // asked at every step
  const auto parameters = optimizer_.parameters();
  std::vector<std::string> stale;
  for (const auto& [name, snapshot] : snapshots_) {
    if (!same_shapes(snapshot.parameters, parameters)) stale.push_back(name);
  }
  for (const std::string& name : stale) take(name, step);
  return stale;
}

int64_t Snapshots::step(const std::string& name) const {
  const auto found = snapshots_.find(name);
  return found == snapshots_.end() ? -1 : found->second.step;
}

Json Snapshots::save(const std::string& path) const {
  Json steps = Json::object();
  io::NamedTensors tensors;
  for (const auto& [name, snapshot] : snapshots_) {
    steps[name] = snapshot.step;
    for (const auto& [key, tensor] : snapshot.parameters) {
      tensors.emplace_back(name + kParameter + key, tensor);
    }
    for (const auto& [key, tensor] : snapshot.state) {
      tensors.emplace_back(name + kState + key, tensor);
    }
  }
  if (!tensors.empty()) io::write_safetensors(path, tensors);
  return steps;
}

void Snapshots::load(const std::string& path, const Json& state) {
  snapshots_.clear();
  if (state.empty()) return;
  const io::Safetensors file(path);
  const torch::NoGradGuard no_grad;
  for (const auto& [name, step] : state.items()) {
    Snapshot snapshot{step.get<int64_t>()};
    for (const auto& [key, parameter] : optimizer_.parameters()) {
      snapshot.parameters[key] =
          io::read_tensor(file, name + kParameter + key).to(parameter.device());
    }
    for (const auto& [key, tensor] : optimizer_.state()) {
      snapshot.state[key] = io::read_tensor(file, name + kState + key).to(tensor.device());
    }
    snapshots_[name] = std::move(snapshot);
  }
}

}  // namespace hone::train
