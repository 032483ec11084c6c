#include "hone/run/saving.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <map>
#include <set>

#include "hone/core/error.h"
#include "hone/io/checkpoint.h"
#include "hone/model/checkpoint.h"
#include "hone/run/hub_cache.h"

namespace hone::run {

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

io::TensorTypes save_types(const Base& base, SaveDtype dtype) {
  const model::NamedTensors tensors = base.decoder->hf_tensors();
  io::TensorTypes types = base.types;
  if (dtype != SaveDtype::kAuto) {
    for (const auto& [name, tensor] : tensors) types[name] = scalar_type(dtype);
  }
  for (const auto& [name, tensor] : base.decoder->travelling()) types.erase(name);
  return model::storable_types(tensors, std::move(types));
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

std::string types_text(const model::NamedTensors& tensors, const io::TensorTypes& types) {
  const at::ScalarType main = model::main_type(tensors, types);
  std::set<std::string> others;
  for (const auto& [name, tensor] : tensors) {
    const at::ScalarType type = io::written_type(name, tensor, types);
    if (type != main && at::isFloatingType(type)) others.insert(model::type_name(type));
  }
  std::string text = model::type_name(main);
  for (const std::string& other : others) text += " and " + other;
  return text;
}

std::string describe_save(const Config& config) {
  if (config.save.dtype != SaveDtype::kAuto) {
    return std::string(model::type_name(scalar_type(config.save.dtype))) + ", as save.dtype says";
  }
  if (!config.model) return "float32";
  const io::Checkpoint checkpoint = io::Checkpoint::open(model_folder(*config.model));
  std::map<io::Dtype, uint64_t> bytes;
  for (const std::string& name : checkpoint.names()) {
    const io::TensorInfo& info = checkpoint.info(name);
    if (io::is_weight_dtype(info.dtype)) bytes[info.dtype] += info.bytes();
  }
  if (bytes.empty()) return "as the base came";
  const auto main = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return fmt::format("{}{}, as the base came", model::type_name(io::to_scalar_type(main->first)),
                     bytes.size() > 1 ? " and others" : "");
}

}  // namespace hone::run
