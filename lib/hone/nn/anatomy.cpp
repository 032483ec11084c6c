#include "hone/nn/anatomy.h"

#include <torch/nn/module.h>
#include <torch/types.h>

#include <utility>

namespace hone::nn {
namespace {

void add(const torch::nn::Module& module, const std::string& prefix,
         std::vector<ModuleTensor>& all) {
  std::vector<ModuleTensor> own;
  if (const auto* tells = dynamic_cast<const TellsTensors*>(&module)) {
    own = tells->own_tensors();
  } else {
    for (const auto& item : module.named_parameters(/*recurse=*/false)) {
      own.push_back({item.key(), item.value()});
    }
  }
  for (ModuleTensor& tensor : own) {
    tensor.name = prefix + tensor.name;
    tensor.parameter = prefix + tensor.parameter;
    all.push_back(std::move(tensor));
  }
  for (const auto& child : module.named_children()) {
    add(*child.value(), prefix + child.key() + ".", all);
  }
}

}  // namespace

std::vector<ModuleTensor> tensors(const torch::nn::Module& module) {
  std::vector<ModuleTensor> all;
  add(module, "", all);
  return all;
}

int64_t numel(const torch::nn::Module& module, Role role) {
  int64_t count = 0;
  for (const ModuleTensor& tensor : tensors(module)) {
    if (tensor.role == role) count += tensor.tensor.numel();
  }
  return count;
}

int64_t parameters(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const ModuleTensor& tensor : tensors(module)) {
    count += tensor.role == Role::kBase ? tensor.tensor.numel() : tensor.numbers;
  }
  return count;
}

int64_t bytes(const torch::nn::Module& module, Role role) {
  int64_t sum = 0;
  for (const ModuleTensor& tensor : tensors(module)) {
    if (tensor.role != role) continue;
    sum += tensor.tensor.numel() * static_cast<int64_t>(tensor.tensor.element_size());
  }
  return sum;
}

int64_t trained_numel(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const ModuleTensor& tensor : tensors(module)) {
    if (tensor.tensor.requires_grad()) count += tensor.tensor.numel();
  }
  return count;
}

}  // namespace hone::nn
