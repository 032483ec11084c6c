#include "hone/run/compute.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <ctime>
#include <optional>

#include "hone/kernels/linear_cross_entropy.h"
#include "hone/kernels/product.h"

namespace hone::run {
namespace {

std::optional<ComputeChoice> of_device(const machine::DevicePlan& device) {
  if (device.device.is_cpu()) return std::nullopt;
  return ComputeChoice{Compute::kAuto, "of the weights' type on a GPU"};
}

/// Least CPU time, which other programs hardly touch, of a layer's three products, forward and
/// backward, in several tries. Without autograd, whose threads for a GPU would keep a search from
/// forking.
double time_in(kernels::ProductType type, const at::Tensor& x, const at::Tensor& weight) {
  constexpr int kTries = 4;  // of which the first may be slower: kernels are made
  kernels::set_product_type(type);
  double least = 1e9;
  for (int i = 0; i < kTries; ++i) {
    const std::clock_t begin = std::clock();
    const at::Tensor y = kernels::product(x, weight.t());
    kernels::product(y, weight);
    kernels::product(y.t(), x);
    least = std::min(least, static_cast<double>(std::clock() - begin));
  }
  return least;
}

ComputeChoice time_both(const Config& config, const model::DecoderConfig& model) {
  constexpr int64_t kRows = 256, kWidest = 1024;
  constexpr int64_t kLeast = int64_t{1} << 24;  // below, clocks would decide
  const int64_t rows = std::min(kRows, config.data.tokens_per_batch);
  const int64_t in = std::min(kWidest, model.hidden_size);
  const int64_t out = std::min(kWidest, model.intermediate_size);
  if (rows * in * out < kLeast) return {Compute::kFloat32, "too small to gain by bfloat16"};
  const at::Tensor x = at::full({rows, in}, 0.5), weight = at::full({out, in}, 0.5);
  const kernels::ProductType before = kernels::product_type();
  const double wide = time_in(kernels::ProductType::kFloat32, x, weight);
  const double half = time_in(kernels::ProductType::kBfloat16, x, weight);
  kernels::set_product_type(before);
  return {half <= kMostOfFloat32 * wide ? Compute::kBfloat16Products : Compute::kFloat32,
          fmt::format("{:.2f} times as fast in bfloat16 as in float32 here", wide / half)};
}

}  // namespace

std::string ComputeChoice::text() const {
  if (compute == Compute::kAuto) return "products " + reason;
  return fmt::format("products in {} ({})", compute == Compute::kFloat32 ? "float32" : "bfloat16",
                     reason);
}

int64_t ComputeChoice::operand_bytes(const model::DecoderConfig& model, int64_t tokens) const {
  if (compute != Compute::kBfloat16Products) return 0;
  const int64_t rows = std::min(tokens, kernels::chunk_rows(model.vocab_size, at::kCPU));
  const int64_t head = model.vocab_size * (rows + model.hidden_size);
  const int64_t mlp = model.intermediate_size * tokens +
                      model.hidden_size * std::max(model.intermediate_size, tokens);
  return int64_t{sizeof(at::BFloat16)} * std::max(head, mlp);
}

void ComputeChoice::apply() const {
  kernels::set_product_type(compute == Compute::kBfloat16Products ? kernels::ProductType::kBfloat16
                                                                  : kernels::ProductType::kFloat32);
}

ComputeChoice choose_compute(const Config& config, const Json& base_config,
                             const machine::DevicePlan& device) {
  if (auto choice = of_device(device)) return *std::move(choice);
  if (config.compute != Compute::kAuto) return {config.compute, "compute"};
  return time_both(config, model::DecoderConfig::from_json(base_config, "config.json"));
}

ComputeChoice resumed_compute(const Json& manifest, const machine::DevicePlan& device) {
  if (auto choice = of_device(device)) return *std::move(choice);
  const Json begun = manifest.value(kComputeKey, Json());
  const bool half = begun == Json(enum_name(Compute::kBfloat16Products));
  return {half ? Compute::kBfloat16Products : Compute::kFloat32, "as the run began"};
}

void complete_compute(Json& then, const Json& now) {
  if (then.contains(kComputeKey)) return;
  const Json automatic = enum_name(Compute::kAuto);
  const bool asked = now.is_object() && now.value(kComputeKey, Json()) == automatic;
  then[kComputeKey] = asked ? automatic : Json(enum_name(Compute::kFloat32));
}

}  // namespace hone::run
