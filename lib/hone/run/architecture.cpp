#include "hone/run/architecture.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/model/family.h"

namespace hone::run {
namespace {

/// Calls `with(name, value)` for the keys of single families that are given.
template <class With>
void for_own(const ArchitectureOptions& options, With with) {
  const auto visitor = [&](const char* name, const auto& value, auto&&...) {
    if (value) with(name, *value);
  };
  ArchitectureOptions::visit_own(options, visitor);
}

/// Families say what their keys must be; a vocabulary is not known yet.
void check_family(const ArchitectureOptions& options, Validation& v) {
  if (const char* why = options.model_type->needs_weights()) {
    return v.problem("model_type", why);
  }
  const std::vector<std::string> own = options.model_type->own_keys();
  for_own(options, [&](const char* name, const auto&) {
    if (std::find(own.begin(), own.end(), name) == own.end()) {
      v.no_effect(name, fmt::format("with model_type {}", enum_name(options.model_type)));
    }
  });
  if (own.empty()) return;
  try {
    model::DecoderConfig::from_json(architecture_config(options, 1, {}, {}),
                                    enum_name(options.model_type));
  } catch (const IoError& error) {
    v.problem("model_type", error.what());
  }
}

}  // namespace

void ArchitectureOptions::validate(Validation& v) const {
  check_family(*this, v);
  const std::vector<std::string> own = model_type->own_keys();
  if (std::find(own.begin(), own.end(), "qk_rope_head_dim") != own.end()) {
    v.no_effect("head_dim", "on latent attention, whose heads have widths of their own");
    v.no_effect("num_key_value_heads", "on latent attention");
    return;
  }
  if (!head_dim && hidden_size % num_attention_heads != 0) {
    v.problem("num_attention_heads",
              fmt::format("must divide hidden_size {} unless head_dim is given, got {}",
                          hidden_size, num_attention_heads));
  }
  const int64_t width = head_dim.value_or(hidden_size / num_attention_heads);
  if (width % 2 != 0) {
    v.problem("head_dim", fmt::format("must be even for rotary embeddings, got {}", width));
  }
  if (num_attention_heads % num_key_value_heads.value_or(num_attention_heads) != 0) {
    v.problem("num_key_value_heads", fmt::format("must divide num_attention_heads {}, got {}",
                                                 num_attention_heads, *num_key_value_heads));
  }
}

Json architecture_config(const ArchitectureOptions& options, int64_t vocab_size,
                         std::optional<int64_t> bos_id, std::optional<int64_t> eos_id) {
  const int64_t multiple = options.vocab_multiple;
  Json config = {
      {"architectures", {options.model_type->architecture()}},
      {"model_type", enum_name(options.model_type)},
      {"hidden_size", options.hidden_size},
      {"intermediate_size", options.intermediate_size},
      {"num_hidden_layers", options.num_hidden_layers},
      {"num_attention_heads", options.num_attention_heads},
      {"num_key_value_heads", options.num_key_value_heads.value_or(options.num_attention_heads)},
      {"head_dim", options.head_dim.value_or(options.hidden_size / options.num_attention_heads)},
      {"hidden_act", "silu"},
      {"max_position_embeddings", options.max_position_embeddings},
      {"rope_theta", options.rope_theta},
      {"rope_scaling", nullptr},
      {"rms_norm_eps", options.rms_norm_eps},
      {"initializer_range", options.initializer_range},
      {"tie_word_embeddings", options.tie_word_embeddings},
      {"vocab_size", (vocab_size + multiple - 1) / multiple * multiple},
      {"torch_dtype", "float32"},
      {"use_cache", true}};
  if (options.qk_rope_head_dim) {  // as transformers has it, which rotates by head_dim
    config["head_dim"] = *options.qk_rope_head_dim;
    config["q_lora_rank"] = nullptr;
  }
  for_own(options, [&](const char* name, const auto& value) { config[name] = value; });
  if (bos_id) config["bos_token_id"] = *bos_id;
  if (eos_id) config["eos_token_id"] = *eos_id;
  return config;
}

}  // namespace hone::run
