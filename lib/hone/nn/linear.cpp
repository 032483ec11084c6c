#include "hone/nn/linear.h"

#include <torch/types.h>

#include <cmath>
#include <utility>

#include "hone/core/error.h"
#include "hone/kernels/dispatch.h"
#include "hone/kernels/product.h"

namespace hone::nn {

LinearImpl::LinearImpl(const LinearOptions& options, const at::TensorOptions& tensor_options)
    : options(options) {
  weight = register_parameter("weight", at::empty({options.out, options.in}, tensor_options));
  if (options.bias) {
    bias = register_parameter("bias", at::empty({options.out}, tensor_options));
  }
}

at::Tensor LinearImpl::forward(const at::Tensor& x) {
  TORCH_CHECK_VALUE(x.dim() == 2 && x.size(1) == options.in, "Linear: x must be [T, ", options.in,
                    "], got ", x.sizes());
  if (!has_lora()) return kernels::project(x, weight, bias);
  const bool drops = is_training() && lora_.dropout > 0;
  const at::Tensor input = drops ? at::dropout(x, lora_.dropout, true) : x;
  const auto add_adapter = [&](const at::Tensor& base) {
    return kernels::add_projection(base, kernels::project(input, lora_A), lora_B, lora_.scale);
  };
  if (!lora_.dora) return add_adapter(kernels::project(x, weight, bias));

  const at::Tensor factor = lora_magnitude_vector / row_norms();
  const at::Tensor product = kernels::project(input, weight);
  const at::Tensor direction = add_adapter(product) * factor;
  // The base's own product is never dropped: only its change is.
  if (drops) return kernels::project(x, weight, bias) + (direction - product);
  return bias.defined() ? direction + bias : direction;
}

at::Tensor LinearImpl::row_norms() const {
  const at::NoGradGuard no_grad;
  return at::addmm(weight, lora_B, lora_A, 1, lora_.scale)
      .norm(2, at::IntArrayRef{1}, false, kernels::wide_type(weight))
      .to(weight.scalar_type());
}

std::vector<ModuleTensor> LinearImpl::own_tensors() const {
  std::vector<ModuleTensor> own = {{.name = "weight", .tensor = weight, .outputs = 0, .inputs = 1}};
  if (bias.defined()) own.push_back({.name = "bias", .tensor = bias, .start = 0, .outputs = 0});
  if (!has_lora()) return own;
  const auto add = [&](const char* name, const at::Tensor& tensor, const char* parameter) {
    own.push_back({.name = name, .tensor = tensor, .role = Role::kAdapter, .parameter = parameter});
    return &own.back();
  };
  add("lora_A.weight", lora_A, "lora_A")->inputs = 1;
  add("lora_B.weight", lora_B, "lora_B")->outputs = 0;
  const char* magnitude = "lora_magnitude_vector";
  if (lora_.dora) add(magnitude, lora_magnitude_vector, magnitude)->outputs = 0;
  return own;
}

void LinearImpl::add_lora(const LoraSpec& spec, at::Generator generator) {
  if (has_lora()) throw Error("Linear: has an adapter already");
  const at::NoGradGuard no_grad;
  lora_ = spec;
  const double bound = 1 / std::sqrt(static_cast<double>(options.in));
  const at::Device drawn_on = weight.is_meta() ? at::kMeta : at::kCPU;
  at::Tensor a = at::empty({spec.rank, options.in}, drawn_on);
  if (!weight.is_meta()) a.uniform_(-bound, bound, std::move(generator));
  lora_A = register_parameter("lora_A", a.to(weight.options()));
  lora_B = register_parameter("lora_B", at::zeros({options.out, spec.rank}, weight.options()));
  if (spec.dora) lora_magnitude_vector = register_parameter("lora_magnitude_vector", row_norms());
  weight.set_requires_grad(false);
  if (bias.defined()) bias.set_requires_grad(false);
}

at::Tensor LinearImpl::merged_weight() const {
  const at::NoGradGuard no_grad;
  if (!has_lora()) return weight.detach();
  const at::ScalarType wide = kernels::wide_type(weight);
  at::Tensor merged = at::addmm(weight.to(wide), lora_B.to(wide), lora_A.to(wide), 1, lora_.scale);
  if (lora_.dora) {
    const at::Tensor norms = merged.norm(2, at::IntArrayRef{1}, true);
    merged.mul_(lora_magnitude_vector.to(wide).unsqueeze(1) / norms);
  }
  return merged.to(weight.scalar_type());
}

void LinearImpl::merge_lora() {
  if (!has_lora()) return;
  const at::NoGradGuard no_grad;
  weight.copy_(merged_weight());
  drop_lora();
}

void LinearImpl::drop_lora() {
  for (const char* name : {"lora_A", "lora_B", "lora_magnitude_vector"}) {
    if (parameters_.contains(name)) parameters_.erase(name);
  }
  lora_A = lora_B = lora_magnitude_vector = at::Tensor();
  weight.set_requires_grad(true);
  if (bias.defined()) bias.set_requires_grad(true);
}

bool LinearImpl::keeps_input() const {
  return weight.requires_grad() || (has_lora() && lora_.dropout == 0);
}

int64_t LinearImpl::saved() const {
  if (!has_lora()) return 0;
  return lora_.rank + (lora_.dora ? options.out : 0) + (lora_.dropout > 0 ? 2 * options.in : 0);
}

int64_t saved_together(const std::vector<Linear>& layers) {
  int64_t input = 0, own = 0;
  for (const Linear& layer : layers) {
    if (layer->keeps_input()) input = layer->options.in;
    own += layer->saved();
  }
  return input + own;
}

std::vector<Cut> CuttableImpl::keep_columns(const at::Tensor&) {
  throw Error(name() + " has no inputs that are units");
}

void CuttableImpl::replace(const std::string& name, at::Tensor& member, const at::Tensor& value) {
  const bool trains = member.requires_grad();
  member = value.detach().set_requires_grad(trains);
  parameters_[name] = member;
}

void CuttableImpl::cut(const std::string& name, at::Tensor& member, int64_t dim,
                       const at::Tensor& keep, std::vector<Cut>& cuts) {
  if (!member.defined()) return;
  replace(name, member, member.detach().index_select(dim, keep.to(member.device())));
  cuts.push_back({name, dim, keep});
}

std::vector<Cut> LinearImpl::keep_rows(const at::Tensor& keep) {
  std::vector<Cut> cuts;
  cut("weight", weight, 0, keep, cuts);
  cut("bias", bias, 0, keep, cuts);
  cut("lora_B", lora_B, 0, keep, cuts);
  cut("lora_magnitude_vector", lora_magnitude_vector, 0, keep, cuts);
  options.out = keep.numel();
  return cuts;
}

std::vector<Cut> LinearImpl::keep_columns(const at::Tensor& keep) {
  const bool dora = lora_magnitude_vector.defined();
  const at::Tensor norms = dora ? row_norms() : at::Tensor();
  std::vector<Cut> cuts;
  cut("weight", weight, 1, keep, cuts);
  cut("lora_A", lora_A, 1, keep, cuts);
  options.in = keep.numel();
  if (dora) {
    const at::NoGradGuard no_grad;
    replace("lora_magnitude_vector", lora_magnitude_vector,
            lora_magnitude_vector * (row_norms() / norms));
  }
  return cuts;
}

}  // namespace hone::nn
