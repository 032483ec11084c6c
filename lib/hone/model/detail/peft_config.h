/// PEFT's adapter_config.json to and from LoraOptions.
#pragma once
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/nn/lora.h"

namespace hone::model::detail {

/// The options that such a file describes; `problems` gains a line for each that is malformed or
/// not supported. trainable_token_indices are the caller's to read.
nn::LoraOptions lora_options(const Json& config, std::vector<std::string>& problems);

/// The file for `options`, whose adapted linear layers are `names`. `token_rows` is the value of
/// trainable_token_indices.
Json peft_config(const nn::LoraOptions& options, const std::vector<std::string>& names,
                 const Json& token_rows, const std::string& base_name);

}  // namespace hone::model::detail
