#include "hone/io/adapter.h"

#include <torch/types.h>

#include "hone/core/error.h"
#include "hone/io/files.h"
#include "hone/io/tensors.h"

namespace hone::io {
namespace {

constexpr const char* kPickle = "adapter_model.bin";
constexpr std::string_view kPrefix = "base_model.model.";

bool present(const Json& config, const char* key) {
  return config.contains(key) && !config[key].is_null();
}

void check(const std::string& folder, const AdapterFiles& files) {
  const std::string path = folder + "/" + kAdapterConfig;
  const Json& config = files.config;
  if (!config.is_object()) throw IoError(path, "is no JSON object");
  const Json type = config.value("peft_type", Json());
  if (type != "LORA") throw IoError(path, "expected peft_type \"LORA\", got " + type.dump());
  if (!present(config, "target_modules") && !present(config, "target_parameters")) {
    throw IoError(path, "has neither target_modules nor target_parameters");
  }
  if (files.tensors.empty()) throw IoError(folder + "/" + kAdapterWeights, "holds no tensor");
  for (const auto& [name, tensor] : files.tensors) {
    if (!name.starts_with(kPrefix) || name.size() == kPrefix.size()) {
      throw IoError(
          folder + "/" + kAdapterWeights,
          "tensor \"" + name + "\": PEFT's names begin with \"" + std::string(kPrefix) + "\"");
    }
  }
}

}  // namespace

AdapterFiles read_adapter(const std::string& folder) {
  const std::string weights = folder + "/" + kAdapterWeights, pickle = folder + "/" + kPickle;
  if (!path_exists(weights) && path_exists(pickle)) {
    throw IoError(pickle,
                  "is a Python pickle, which can run any code when it is read; hone reads "
                  "safetensors only: save the adapter with a PEFT of 2023 or later");
  }
  AdapterFiles files;
  files.config = read_json_file(folder + "/" + kAdapterConfig, {.max_bytes = size_t{16} << 20});
  const Safetensors file(weights);
  for (const TensorInfo& info : file.tensors()) {
    if (!is_weight_dtype(info.dtype)) {
      throw IoError(weights, "tensor \"" + info.name + "\" " + not_weights(info.dtype));
    }
  }
  for (const TensorInfo& info : file.tensors()) {
    files.tensors[info.name] = read_tensor(file, info.name);
  }
  check(folder, files);
  return files;
}

void write_adapter(const std::string& folder, const AdapterFiles& files) {
  check(folder, files);
  write_file(folder + "/" + kAdapterConfig, files.config.dump(2) + "\n");
  write_safetensors(folder + "/" + kAdapterWeights,
                    NamedTensors(files.tensors.begin(), files.tensors.end()));
}

}  // namespace hone::io
