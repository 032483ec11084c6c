#include "hone/model/family.h"

#include <ATen/ops/cat.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "hone/core/error.h"
#include "hone/core/names.h"
#include "hone/model/families/common.h"

namespace hone::model {
namespace {

using NamedTypes = std::vector<std::pair<ModelType, const char*>>;

void add(NamedTypes& types, const Family& family) {
  for (const char* name : family.names()) {
    for (const auto& [type, known] : types) {
      if (std::string(known) == name) {
        throw Error(fmt::format("register_family: there is a family {} already", name));
      }
    }
    types.push_back({{&family, name}, name});
  }
}

NamedTypes& registry() {
  static NamedTypes types = [] {
    NamedTypes types;
    for (const Family* family : {&llama(), &qwen2(), &qwen3(), &qwen3_moe(), &deepseek(),
                                 &deepseek_v2(), &deepseek_v3(), &deepseek_v32(), &deepseek_v4()}) {
      add(types, *family);
    }
    return types;
  }();
  return types;
}

}  // namespace

std::vector<int64_t> CheckpointTensor::shape() const {
  std::vector<int64_t> shape = parts.front().sizes().vec();
  for (size_t i = 1; i < parts.size(); ++i) shape[0] += parts[i].size(0);
  return shape;
}

at::Tensor CheckpointTensor::whole() const {
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

nn::HyperHead Family::head_connection(const DecoderConfig&, const at::TensorOptions&) const {
  return nullptr;
}

RoutedExperts Family::experts(const DecoderConfig&, int64_t) const { return {}; }

void Family::recognise(DecoderConfig&, const std::vector<std::string>&) const {}

std::vector<CheckpointTensor> Family::checkpoint_tensors(const NamedTensors& base,
                                                         const DecoderConfig&) const {
  std::vector<CheckpointTensor> tensors;
  for (const auto& [name, tensor] : base) tensors.push_back({name, {tensor}});
  return tensors;
}

int64_t Family::multi_token_layers(const DecoderConfig&) const { return 0; }

bool Family::travels(const std::string&, const DecoderConfig&) const { return false; }

void Family::keep_layers(Json& json, const std::vector<int64_t>& left,
                         const DecoderConfig& config) const {
  const Json kinds = json.value("layer_types", Json());
  if (!kinds.is_array() || std::ssize(kinds) != config.num_hidden_layers) return;
  Json kept = Json::array();
  for (const int64_t layer : left) kept.push_back(kinds[layer]);
  json["layer_types"] = std::move(kept);
}

void register_family(const Family& family) { add(registry(), family); }

const std::vector<std::pair<ModelType, const char*>>& model_types() { return registry(); }

ModelType model_type(const std::string& name) {
  const auto type = enum_from_name<ModelType>(name);
  if (!type) {
    throw Error(fmt::format("\"{}\" is not supported; supported are {}", name,
                            fmt::join(enum_names<ModelType>(), ", ")));
  }
  return *type;
}

DecoderConfig DecoderConfig::from_json(const Json& json, const std::string& source) {
  if (!json.is_object()) throw IoError(source, "expected an object");
  const Json name = json.value("model_type", Json());
  ModelType type;
  try {
    type = model::model_type(name.is_string() ? name.get<std::string>() : "");
  } catch (const Error& error) {
    throw IoError(source, std::string("model_type: ") + error.what());
  }
  DecoderConfig config = type->read(json, source);
  config.model_type = type;
  if (const auto pruned = json.find("hone_pruned"); pruned != json.end()) {
    config.pruned = pruned_from_json(*pruned, config, source);
  }
  config.quantised = read_quantised_layers(json, source);
  if (config.quantised && !type->quantises()) {
    throw IoError(source, std::string("quantization_config: layers of a ") + type.name +
                              " model cannot be read as integers yet");
  }
  config.sharing = sharing_from_json(json.value("hone_sharing", Json()), config, source);
  if (config.quantised && !config.sharing.empty()) {
    throw IoError(source, "hone_sharing: layers that hold integers cannot share them yet");
  }
  return config;
}

}  // namespace hone::model
