/// PEFT adapter folders: adapter_config.json and adapter_model.safetensors. What the tensors mean
/// is the model room's.
#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "hone/core/json.h"

namespace hone::io {

/// Names inside an adapter folder.
constexpr const char* kAdapterConfig = "adapter_config.json";
constexpr const char* kAdapterWeights = "adapter_model.safetensors";

struct AdapterFiles {
  Json config;                                ///< adapter_config.json, keys in their order
  std::map<std::string, at::Tensor> tensors;  ///< by their full names, "base_model.model...."
};

/// Throws: IoError for a pickle, a peft_type other than LORA, absent target_modules and
///   target_parameters, a name that does not begin with "base_model.model.", tensors that are no
///   weights (is_weight_dtype), a broken file.
AdapterFiles read_adapter(const std::string& folder);

/// Writes both files into `folder`, which must exist (an AtomicFolder's path()), after the same
/// checks. Throws: IoError.
void write_adapter(const std::string& folder, const AdapterFiles& files);

}  // namespace hone::io
