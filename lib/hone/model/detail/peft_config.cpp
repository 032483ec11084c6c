#include "hone/model/detail/peft_config.h"

#include <algorithm>
#include <cmath>

#include "hone/core/keys.h"

namespace hone::model::detail {
namespace {

/// Read by lora_options or its caller.
const std::vector<std::string> kRead = {"r",
                                        "lora_alpha",
                                        "lora_dropout",
                                        "target_modules",
                                        "target_parameters",
                                        "use_rslora",
                                        "use_dora",
                                        "rank_pattern",
                                        "alpha_pattern",
                                        "bias",
                                        "modules_to_save",
                                        "task_type",
                                        "init_lora_weights",
                                        "peft_type",
                                        "trainable_token_indices"};
/// Without effect on what a loaded adapter computes.
const std::vector<std::string> kInert = {
    "auto_mapping",      "base_model_name_or_path", "inference_mode", "revision",
    "peft_version",      "runtime_config",          "megatron_core",  "megatron_config",
    "qalora_group_size", "ensure_weight_tying"};

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// null, false, {} and []: the values by which an option of PEFT is off.
bool off(const Json& value) {
  return value.is_null() || value == false || (value.is_structured() && value.empty());
}

std::vector<std::string> names(Keys& keys, const std::string& key) {
  std::vector<std::string> result;
  const Json* value = keys.find(key);
  if (!value) return result;
  const bool strings = value->is_array() && std::all_of(value->begin(), value->end(),
                                                        [](auto& v) { return v.is_string(); });
  if (!strings) {
    keys.problem(key, "expected a list of names");
    return result;
  }
  return value->get<std::vector<std::string>>();
}

template <class T>
std::map<std::string, T> pattern_values(Keys& keys, const std::string& key, double min) {
  std::map<std::string, T> result;
  const Json* value = keys.find(key);
  if (!value) return result;
  if (!value->is_object()) {
    keys.problem(key, "expected an object of pattern: number");
    return result;
  }
  for (const auto& [pattern, number] : value->items()) {
    if (!number.is_number() || !(number.template get<double>() >= min)) {
      keys.problem(key + "/" + pattern, "expected a number of at least " + Json(min).dump());
    } else {
      result[pattern] = number.template get<T>();
    }
  }
  return result;
}

void read_targets(Keys& keys, nn::LoraOptions& options) {
  options.target_parameters = names(keys, "target_parameters");
  const bool alone = options.target_parameters.empty();
  const Json* targets = keys.find("target_modules");
  if (!targets) {
    if (alone) keys.problem("target_modules", "is missing");
    return;
  }
  if (!targets->is_string()) {
    options.targets = names(keys, "target_modules");
    if (alone && options.targets.empty()) keys.problem("target_modules", "names no module");
    return;
  }
  const auto text = targets->get<std::string>();
  if (text != "all-linear") {
    options.target_regex = text;
  } else if (!alone) {
    keys.problem("target_modules", "all-linear beside target_parameters is not supported");
  }
}

/// Initialisations that change the base's weights cannot be repeated here.
void check_initialisation(Keys& keys) {
  const Json* value = keys.find("init_lora_weights");
  if (!value || value->is_boolean() || *value == "gaussian" || *value == "orthogonal") return;
  keys.problem("init_lora_weights",
               value->dump() +
                   " changes the base's weights and is not supported; convert the "
                   "adapter with PEFT's save_pretrained(path_initial_model_for_"
                   "weight_conversion=...)");
}

/// PEFT writes whole alphas as integers.
Json whole(double value) {
  return value == std::floor(value) ? Json(static_cast<int64_t>(value)) : Json(value);
}

}  // namespace

nn::LoraOptions lora_options(const Json& config, std::vector<std::string>& problems) {
  Keys keys(config, "", problems);
  nn::LoraOptions options;
  options.rank = keys.integer("r", 1, 65536).value_or(8);
  options.alpha = keys.number("lora_alpha", 0, 1e6).value_or(8);
  options.dropout = keys.number("lora_dropout", 0, 0.999).value_or(0);
  options.rslora = keys.flag("use_rslora").value_or(false);
  options.dora = keys.flag("use_dora").value_or(false);
  options.modules_to_save = names(keys, "modules_to_save");
  options.rank_pattern = pattern_values<int64_t>(keys, "rank_pattern", 1);
  options.alpha_pattern = pattern_values<double>(keys, "alpha_pattern", 0);
  read_targets(keys, options);
  check_initialisation(keys);
  if (const auto type = keys.text("peft_type"); type != "LORA") {
    keys.problem("peft_type", "only LORA is supported, got \"" + type.value_or("") + "\"");
  }
  if (const auto bias = keys.text("bias"); bias.value_or("none") != "none") {
    keys.problem("bias", "trained biases are not supported, got \"" + *bias + "\"");
  }
  if (const auto task = keys.text("task_type"); task.value_or("CAUSAL_LM") != "CAUSAL_LM") {
    keys.problem("task_type", "only CAUSAL_LM is supported, got \"" + *task + "\"");
  }
  for (const auto& [key, value] : config.items()) {
    if (!contains(kRead, key) && !contains(kInert, key) && !off(value)) {
      keys.problem(key, "is not supported");
    }
  }
  return options;
}

Json peft_config(const nn::LoraOptions& options, const std::vector<std::string>& names,
                 const Json& token_rows, const std::string& base_name) {
  // A pattern and "all" by the names that they came to: PEFT's own picks depend on its version, and
  // it refuses a pattern that also fits other modules.
  const bool given = !options.target_regex && !options.targets.empty();
  const Json targets = given ? options.targets : names;
  const Json parameters =
      options.target_parameters.empty() ? Json(nullptr) : Json(options.target_parameters);
  Json alphas = Json::object();
  for (const auto& [pattern, alpha] : options.alpha_pattern) alphas[pattern] = whole(alpha);
  const Json saved =
      options.modules_to_save.empty() ? Json(nullptr) : Json(options.modules_to_save);
  return {{"peft_type", "LORA"},
          {"task_type", "CAUSAL_LM"},
          {"base_model_name_or_path", base_name},
          {"inference_mode", true},
          {"r", options.rank},
          {"lora_alpha", whole(options.alpha)},
          {"lora_dropout", options.dropout},
          {"target_modules", targets},
          {"modules_to_save", saved},
          {"trainable_token_indices", token_rows},
          {"rank_pattern", Json(options.rank_pattern)},
          {"alpha_pattern", alphas},
          {"use_rslora", options.rslora},
          {"use_dora", options.dora},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"init_lora_weights", true},
          {"layers_to_transform", nullptr},
          {"layers_pattern", nullptr},
          {"exclude_modules", nullptr},
          {"target_parameters", parameters},
          {"lora_bias", false},
          {"ensure_weight_tying", false},
          {"revision", nullptr}};
}

}  // namespace hone::model::detail
