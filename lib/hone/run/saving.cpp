#include "hone/run/saving.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <map>
#include <optional>

#include "hone/core/error.h"
#include "hone/io/quantised_weights.h"
#include "hone/model/checkpoint.h"
#include "hone/run/hub_cache.h"

namespace hone::run {
namespace {

/// As people read it: "fp8", "bfloat16".
std::string type_text(const io::BlockFormat* format, at::ScalarType type) {
  return !format ? model::type_name(type) : format->fp4 ? "fp4" : "fp8";
}

/// The key of the largest number.
std::string largest(const std::map<std::string, int64_t>& numbers) {
  return std::max_element(numbers.begin(), numbers.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

}  // namespace

at::ScalarType scalar_type(SaveDtype dtype) {
  switch (dtype) {
    case SaveDtype::kFloat32:
      return at::kFloat;
    case SaveDtype::kBFloat16:
      return at::kBFloat16;
    case SaveDtype::kFloat16:
      return at::kHalf;
    case SaveDtype::kAuto:
      break;
  }
  throw Error("save.dtype auto is no type of its own");
}

io::CheckpointOptions save_options(const Base& base, SaveDtype dtype) {
  const model::NamedTensors tensors = base.decoder->hf_tensors();
  io::CheckpointOptions options{.types = base.types};
  if (dtype == SaveDtype::kAuto) {
    options.quantised_as = base.quantised.get();
  } else {
    for (const auto& [name, tensor] : tensors) {
      if (!name.ends_with(".weight_scale")) options.types[name] = scalar_type(dtype);
    }
  }
  if (base.decoder->config().quantised) options.quantised_as = nullptr;
  for (const auto& [name, tensor] : base.decoder->travelling()) options.types.erase(name);
  options.types = model::storable_types(tensors, std::move(options.types));
  return options;
}

at::ScalarType saved_type(const Base& base, SaveDtype dtype) {
  return dtype == SaveDtype::kAuto ? model::main_type(base.decoder->hf_tensors(), base.types)
                                   : scalar_type(dtype);
}

io::AdapterFiles in_save_types(io::AdapterFiles files, const Base& base, SaveDtype dtype) {
  io::TensorTypes types = base.adapter_types;
  if (dtype != SaveDtype::kAuto) {
    for (const auto& [name, tensor] : files.tensors) types[name] = scalar_type(dtype);
  }
  types = model::storable_types({files.tensors.begin(), files.tensors.end()}, std::move(types));
  for (auto& [name, tensor] : files.tensors) {
    tensor = tensor.to(io::written_type(name, tensor, types));
  }
  return files;
}

std::string types_text(const model::NamedTensors& tensors, const io::CheckpointOptions& options) {
  std::optional<io::QuantisedWeights> stored;
  if (options.quantised_as) stored.emplace(*options.quantised_as);
  std::map<std::string, int64_t> numbers;
  for (const auto& [name, tensor] : tensors) {
    const at::ScalarType type = io::written_type(name, tensor, options.types);
    if (type == at::kChar) numbers["int8"] += tensor.numel();
    if (name.ends_with(".weight_packed")) {
      numbers["packed integers"] += tensor.numel() * static_cast<int64_t>(tensor.element_size());
    }
    if (!io::is_weight_dtype(io::to_dtype(type))) continue;
    numbers[type_text(stored ? stored->format(name) : nullptr, type)] += tensor.numel();
  }
  const std::string main = largest(numbers);
  std::string text = main;
  for (const auto& [other, count] : numbers) {
    if (other != main) text += " and " + other;
  }
  return text;
}

std::string describe_save(const Config& config) {
  if (config.quantisation && config.quantisation->save == SavedForm::kIntegers) {
    return fmt::format("{} integers (compressed-tensors)", enum_name(config.quantisation->scheme));
  }
  if (config.save.dtype != SaveDtype::kAuto) {
    return std::string(model::type_name(scalar_type(config.save.dtype))) + ", as save.dtype says";
  }
  if (!config.model) return "float32";
  const std::string folder = model_folder(*config.model);
  if (!io::has_weights(folder)) return "as the base came, whose weights are not there yet";
  const io::Checkpoint checkpoint = io::Checkpoint::open(folder);
  const io::QuantisedWeights weights(checkpoint);
  std::map<std::string, int64_t> bytes;
  for (const std::string& name : weights.names()) {
    const io::TensorInfo& info = checkpoint.info(name);
    if (weights.problem(name)) continue;
    bytes[type_text(weights.format(name), io::to_scalar_type(info.dtype))] +=
        static_cast<int64_t>(info.bytes());
  }
  if (bytes.empty()) return "as the base came";
  return fmt::format("{}{}, as the base came", largest(bytes),
                     bytes.size() > 1 ? " and others" : "");
}

}  // namespace hone::run
