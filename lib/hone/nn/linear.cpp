#include "hone/nn/linear.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "hone/core/error.h"
#include "hone/kernels/dispatch.h"
#include "hone/kernels/product.h"

namespace hone::nn {
namespace {

/// Names of the module's buffers.
constexpr const char *kCodes = "codes", *kScales = "scales", *kShape = "weight_shape";

}  // namespace

LinearImpl::LinearImpl(const LinearOptions& options, const at::TensorOptions& tensor_options)
    : options(options) {
  weight = register_parameter("weight", at::empty({options.out, options.in}, tensor_options));
  if (options.bias) {
    bias = register_parameter("bias", at::empty({options.out}, tensor_options));
  }
}

at::Tensor LinearImpl::forward(const at::Tensor& x, const kernels::Int8Rows& rounded) {
  TORCH_CHECK_VALUE(x.dim() == 2 && x.size(1) == options.in, "Linear: x must be [T, ", options.in,
                    "], got ", x.sizes());
  if (watch) watch(x);
  if (rounds()) return forward_rounded(x, rounded);
  if (!has_lora()) return forward_base(x, bias, rounded);
  const bool drops = is_training() && lora_.dropout > 0;
  const at::Tensor input = drops ? at::dropout(x, lora_.dropout, true) : x;
  const auto add_adapter = [&](const at::Tensor& base) {
    return kernels::add_projection(base, kernels::project(input, lora_A), lora_B, lora_.scale);
  };
  if (!lora_.dora) return add_adapter(forward_base(x, bias, rounded));

  const at::Tensor factor = lora_magnitude_vector / row_norms();
  const at::Tensor product = forward_base(input, {}, drops ? kernels::Int8Rows{} : rounded);
  const at::Tensor direction = add_adapter(product) * factor;
  // The base's own product is never dropped: only its change is.
  if (drops) return forward_base(x, bias, rounded) + (direction - product);
  return bias.defined() ? direction + bias : direction;
}

at::Tensor LinearImpl::forward_base(const at::Tensor& x, const at::Tensor& b,
                                    const kernels::Int8Rows& rounded) const {
  if (!is_quantised()) return kernels::project(x, weight, b);
  return kernels::quantised_linear(x, *codes_, b, rounding_->inputs, rounded);
}

at::Tensor LinearImpl::forward_rounded(const at::Tensor& x,
                                       const kernels::Int8Rows& rounded) const {
  at::Tensor merged = weight;
  if (has_lora()) {
    merged = at::addmm(weight, lora_B, lora_A, 1, lora_.scale);
    if (lora_.dora) merged = merged * (lora_magnitude_vector / row_norms()).unsqueeze(1);
  }
  return kernels::rounded_linear(x, merged, bias, rounding_->weight, rounding_->inputs,
                                 rounding_->scale_type, rounded);
}

at::Tensor LinearImpl::dense_weight() const {
  if (!is_quantised()) return weight;
  return kernels::dequantise(*codes_, has_lora() ? lora_A.scalar_type() : at::kFloat);
}

at::Tensor LinearImpl::row_norms() const {
  const at::NoGradGuard no_grad;
  const at::Tensor base = dense_weight();
  return at::addmm(base, lora_B, lora_A, 1, lora_.scale)
      .norm(2, at::IntArrayRef{1}, false, kernels::wide_type(base))
      .to(base.scalar_type());
}

std::vector<ModuleTensor> LinearImpl::own_tensors() const {
  std::vector<ModuleTensor> own;
  if (!is_quantised()) {
    own.push_back({.name = "weight", .tensor = weight, .outputs = 0, .inputs = 1});
  } else {
    const char* codes = rounding_->weight.packed ? "weight_packed" : "weight";
    own.push_back({.name = codes,
                   .tensor = codes_->codes,
                   .role = Role::kCodes,
                   .parameter = kCodes,
                   .numbers = options.out * options.in});
    own.push_back({.name = "weight_scale",
                   .tensor = codes_->scales,
                   .role = Role::kCodes,
                   .parameter = kScales});
    if (rounding_->weight.packed) {
      const at::Tensor shape = torch::tensor({options.out, options.in}, at::kLong);
      own.push_back({.name = kShape, .tensor = shape, .role = Role::kCodes});
    }
  }
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
  const at::TensorOptions type = is_quantised() ? numbers_ : weight.options();
  const bool is_meta = type.device().is_meta();
  at::Tensor a = at::empty({spec.rank, options.in}, is_meta ? at::kMeta : at::kCPU);
  if (!is_meta) a.uniform_(-bound, bound, std::move(generator));
  lora_A = register_parameter("lora_A", a.to(type));
  lora_B = register_parameter("lora_B", at::zeros({options.out, spec.rank}, type));
  if (spec.dora) lora_magnitude_vector = register_parameter("lora_magnitude_vector", row_norms());
  if (!is_quantised()) weight.set_requires_grad(false);
  if (bias.defined()) bias.set_requires_grad(false);
}

at::Tensor LinearImpl::merged_weight() const {
  const at::NoGradGuard no_grad;
  const at::Tensor base = dense_weight().detach();
  if (!has_lora()) return base;
  const at::ScalarType wide = kernels::wide_type(base);
  at::Tensor merged = at::addmm(base.to(wide), lora_B.to(wide), lora_A.to(wide), 1, lora_.scale);
  if (lora_.dora) {
    const at::Tensor norms = merged.norm(2, at::IntArrayRef{1}, true);
    merged.mul_(lora_magnitude_vector.to(wide).unsqueeze(1) / norms);
  }
  return merged.to(base.scalar_type());
}

void LinearImpl::merge_lora() {
  if (!has_lora()) return;
  if (is_quantised()) throw Error("Linear: no adapter can be merged into a quantised weight");
  const at::NoGradGuard no_grad;
  weight.copy_(merged_weight());
  drop_lora();
}

void LinearImpl::drop_lora() {
  for (const char* name : {"lora_A", "lora_B", "lora_magnitude_vector"}) {
    if (parameters_.contains(name)) parameters_.erase(name);
  }
  lora_A = lora_B = lora_magnitude_vector = at::Tensor();
  if (!is_quantised()) weight.set_requires_grad(true);
  if (bias.defined()) bias.set_requires_grad(true);
}

void LinearImpl::set_rounding(std::optional<QuantisationSpec> spec) {
  if (is_quantised()) throw Error("Linear: is quantised already");
  if (spec && has_lora() && lora_.dropout > 0) {
    throw Error("Linear: an adapter's dropout cannot be part of a rounded weight");
  }
  rounding_ = std::move(spec);
}

void LinearImpl::put_codes(const QuantisationSpec& spec, kernels::QuantisedWeight codes) {
  rounding_ = spec;
  codes_ = std::move(codes);
  numbers_ = weight.options().requires_grad(false);
  weight = at::Tensor();
  parameters_.erase("weight");
  codes_->codes = register_buffer(kCodes, codes_->codes);
  codes_->scales = register_buffer(kScales, codes_->scales);
}

void LinearImpl::quantise(const QuantisationSpec& spec) {
  set_rounding(spec);
  put_codes(spec, kernels::quantise_weight(weight, spec.weight, spec.scale_type));
}

void LinearImpl::hold_codes(const QuantisationSpec& spec) {
  set_rounding(spec);
  put_codes(spec,
            kernels::empty_weight(spec.weight, options.out, options.in,
                                  weight.options().dtype(spec.scale_type).requires_grad(false)));
}

bool LinearImpl::keeps_input() const {
  if (rounds()) return !rounding_->inputs.rounds && trains();
  return (!is_quantised() && weight.requires_grad()) || (has_lora() && lora_.dropout == 0);
}

int64_t LinearImpl::saved() const {
  constexpr int64_t kCodes = sizeof(float);  // in the place of a number; and a scale
  if (rounds()) return rounding_->inputs.rounds && trains() ? options.in / kCodes + 1 : 0;
  if (!has_lora()) return 0;
  return lora_.rank + (lora_.dora ? options.out : 0) + (lora_.dropout > 0 ? 2 * options.in : 0);
}

namespace {

bool rounds_input(const Linear& layer) {
  return layer->rounding() && layer->rounding()->inputs.rounds;
}

}  // namespace

std::vector<at::Tensor> forward_together(const std::vector<Linear>& layers, const at::Tensor& x) {
  std::vector<at::Tensor> outputs;
  kernels::Int8Rows rounded;
  double divisor = 0;  // of `rounded`
  for (Linear layer : layers) {
    const bool rounds = rounds_input(layer);
    if (rounds && layer->rounding()->inputs.divisor != divisor) {
      divisor = layer->rounding()->inputs.divisor;
      rounded = kernels::quantise_rows(x, divisor);
    }
    outputs.push_back(layer->forward(x, rounds ? rounded : kernels::Int8Rows{}));
  }
  return outputs;
}

int64_t saved_together(const std::vector<Linear>& layers) {
  int64_t input = 0, codes = 0, own = 0;
  for (const Linear& layer : layers) {
    if (layer->keeps_input()) input = layer->options.in;
    if (rounds_input(layer) && !layer->is_quantised()) {
      codes = std::max(codes, layer->saved());
    } else {
      own += layer->saved();
    }
  }
  return input + codes + own;
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

void LinearImpl::cut_codes(int64_t dim, const at::Tensor& keep) {
  if (!is_quantised()) return;
  if (dim == 1 && rounding_->weight != kernels::WeightFormat{}) {
    throw Error("Linear: inputs can be cut of weights of 8 bits with a scale a row only");
  }
  const at::Tensor index = keep.to(codes_->codes.device());
  codes_->codes.set_data(codes_->codes.index_select(dim, index));
  if (dim == 0) codes_->scales.set_data(codes_->scales.index_select(0, index));
  if (dim == 1) codes_->columns = keep.numel();
}

std::vector<Cut> LinearImpl::keep_rows(const at::Tensor& keep) {
  std::vector<Cut> cuts;
  cut_codes(0, keep);
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
  cut_codes(1, keep);
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
