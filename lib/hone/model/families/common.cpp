#include "hone/model/families/common.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "hone/core/error.h"
#include "hone/core/keys.h"
#include "hone/io/quantisation.h"
#include "hone/nn/attention.h"
#include "hone/nn/mlp.h"
#include "hone/nn/norm.h"

namespace hone::model {
namespace {

constexpr int64_t kMaxVocabulary = 1 << 24, kMaxPositions = 1 << 28;

const std::vector<std::string> kRopeKeys = {"rope_type",
                                            "type",
                                            "rope_theta",
                                            "factor",
                                            "beta_fast",
                                            "beta_slow",
                                            "mscale",
                                            "mscale_all_dim",
                                            "attention_factor",
                                            "attn_factor",
                                            "low_freq_factor",
                                            "high_freq_factor",
                                            "truncate",
                                            "partial_rotary_factor",
                                            "original_max_position_embeddings"};

nn::RopeType rope_type(Keys& rope) {
  const auto name = rope.find("rope_type") ? rope.text("rope_type") : rope.text("type");
  if (!name) return nn::RopeType::kDefault;
  const auto type = enum_from_name<nn::RopeType>(*name);
  if (!type) {
    rope.problem("rope_type", fmt::format("\"{}\" is not supported; supported are {}", *name,
                                          fmt::join(enum_names<nn::RopeType>(), ", ")));
  }
  return type.value_or(nn::RopeType::kDefault);
}

void check_unknown(const Json& object, Keys& rope) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(kRopeKeys.begin(), kRopeKeys.end(), key) == kRopeKeys.end()) {
      rope.problem(key, "is not a supported rotary parameter");
    }
  }
}

void check_partial(Keys& keys) {
  if (keys.number("partial_rotary_factor", 0, 1).value_or(1) != 1) {
    keys.problem("partial_rotary_factor", "rotating a part of the head is not supported");
  }
}

}  // namespace

void CommonFamily::read_heads(Keys& keys, DecoderConfig& config) const {
  const int64_t heads = config.num_attention_heads =
      keys.required_integer("num_attention_heads", 1, kMaxHeads);
  config.num_key_value_heads = keys.integer("num_key_value_heads", 1, kMaxHeads).value_or(heads);
  if (heads % config.num_key_value_heads != 0) {
    keys.problem("num_key_value_heads", fmt::format("must divide num_attention_heads {}, got {}",
                                                    heads, config.num_key_value_heads));
  }
  if (const auto explicit_dim = keys.integer("head_dim", 2, 1 << 14)) {
    config.head_dim = *explicit_dim;
  } else {
    config.head_dim = std::max<int64_t>(2, config.hidden_size / heads);
    if (config.hidden_size % heads != 0) {
      keys.problem("num_attention_heads", fmt::format("must divide hidden_size {} where head_dim "
                                                      "is absent, got {}",
                                                      config.hidden_size, heads));
    }
  }
  if (config.head_dim % 2 != 0) {
    keys.problem("head_dim", fmt::format("must be even, got {}", config.head_dim));
    ++config.head_dim;
  }
}

void CommonFamily::refuse_window(Keys& keys, const DecoderConfig& config) {
  if (const Json* types = keys.find("layer_types")) {
    for (const Json& type : *types) {
      if (type != "full_attention") {
        keys.problem("layer_types", "only full_attention is supported, got " + type.dump());
        return;
      }
    }
  } else if (keys.flag("use_sliding_window").value_or(false) && keys.find("sliding_window") &&
             keys.integer("max_window_layers", 0, kMaxWidth).value_or(28) <
                 config.num_hidden_layers) {
    keys.problem("use_sliding_window", "a sliding window in use is not supported");
  }
}

void CommonFamily::require(Keys& keys, const char* key) {
  if (!keys.find(key)) keys.problem(key, "is missing");
}

std::pair<const Json*, std::string> CommonFamily::rope_object(Keys& keys) {
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    const Json* value = keys.find(name);
    if (!value) continue;
    if (!value->is_object()) {
      keys.problem(name, "expected an object");
    } else if (!value->empty()) {
      return {value, name};
    }
  }
  static const Json kNone = Json::object();
  return {&kNone, "rope_parameters"};
}

nn::RotaryOptions CommonFamily::read_angles(Keys& keys, const Json& object,
                                            const std::string& place, const DecoderConfig& config) {
  const int64_t max_positions = config.max_position_embeddings;
  Keys rope = keys.below(object, place);
  check_unknown(object, rope);
  nn::RotaryOptions options;
  options.head_dim = config.head_dim;
  options.max_positions = max_positions;
  const auto theta = rope.find("rope_theta") ? rope.number("rope_theta", 1.001, 1e15)
                                             : keys.number("rope_theta", 1.001, 1e15);
  options.theta = theta.value_or(10000);
  options.type = rope_type(rope);
  if (options.type == nn::RopeType::kDefault) return options;

  const char* original_key = "original_max_position_embeddings";
  const auto original = keys.find(original_key) ? keys.integer(original_key, 1, kMaxPositions)
                                                : rope.integer(original_key, 1, kMaxPositions);
  options.original_positions = original.value_or(max_positions);
  if (options.type == nn::RopeType::kYarn && !rope.find("factor")) {
    options.factor = static_cast<double>(max_positions) / options.original_positions;
  } else {
    options.factor = rope.required_number("factor", 1e-3, 1e6);
  }
  if (options.type == nn::RopeType::kLlama3) {
    options.low_freq_factor = rope.required_number("low_freq_factor", 1e-3, 1e6);
    options.high_freq_factor = rope.required_number("high_freq_factor", 1e-3, 1e6);
    if (options.high_freq_factor <= options.low_freq_factor) {
      rope.problem("high_freq_factor", "must be above low_freq_factor");
    }
  }
  if (options.type == nn::RopeType::kYarn) {
    options.beta_fast = rope.number("beta_fast", 1e-6, 1e6).value_or(32);
    options.beta_slow = rope.number("beta_slow", 1e-6, 1e6).value_or(1);
    options.attention_factor = rope.number("attention_factor", 0, 1e6);
    options.attn_factor = rope.number("attn_factor", 0, 1e6);
    options.mscale = rope.number("mscale", 0, 1e6);
    options.mscale_all_dim = rope.number("mscale_all_dim", 0, 1e6);
    options.truncate = rope.flag("truncate").value_or(true);
  }
  if (options.type == nn::RopeType::kDynamic && options.head_dim == 2) {
    rope.problem("rope_type", "dynamic needs a head_dim above 2");
  }
  return options;
}

void CommonFamily::read_positions(Keys& keys, DecoderConfig& config) const {
  const auto [rope, place] = rope_object(keys);
  check_partial(keys);
  Keys below = keys.below(*rope, place);
  check_partial(below);
  config.rope = read_angles(keys, *rope, place, config);
}

DecoderConfig CommonFamily::read(const Json& json, const std::string& source) const {
  std::vector<std::string> problems;
  Keys keys(json, "", problems);
  DecoderConfig config;
  config.hidden_size = keys.required_integer("hidden_size", 1, kMaxWidth);
  config.intermediate_size = keys.required_integer(width_key(), 1, kMaxWidth);
  config.num_hidden_layers = keys.required_integer("num_hidden_layers", 1, 10000);
  config.vocab_size = keys.required_integer("vocab_size", 1, kMaxVocabulary);
  config.max_position_embeddings =
      keys.required_integer("max_position_embeddings", 1, kMaxPositions);
  read_heads(keys, config);

  config.rms_norm_eps = keys.number("rms_norm_eps", 0, 1).value_or(1e-6);
  config.initializer_range = keys.number("initializer_range", 0, 10).value_or(0.02);
  config.attention_dropout = keys.number("attention_dropout", 0, 0.999).value_or(0);
  config.tie_word_embeddings = keys.flag("tie_word_embeddings").value_or(false);
  read_positions(keys, config);
  read_own(keys, config);
  if (const auto act = keys.text("hidden_act"); act.value_or("silu") != "silu") {
    keys.problem("hidden_act", "only silu is supported, got \"" + *act + "\"");
  }
  io::read_quantisation(json, problems);
  if (!problems.empty()) throw IoError(source, joined(problems));
  return config;
}

nn::DecoderBlock CommonFamily::block(const DecoderConfig& c, const LayerSizes& sizes,
                                     const at::TensorOptions& tensor_options) const {
  return nn::DecoderBlock(
      c.hidden_size,
      nn::DecoderBlockParts{norm(c, tensor_options), mixer(c, sizes, tensor_options),
                            norm(c, tensor_options), feed_forward(c, sizes, tensor_options),
                            connection(c, tensor_options), connection(c, tensor_options)});
}

nn::HyperConnection CommonFamily::connection(const DecoderConfig&, const at::TensorOptions&) const {
  return nullptr;
}

nn::Mixer CommonFamily::mixer(const DecoderConfig& c, const LayerSizes& sizes,
                              const at::TensorOptions& tensor_options) const {
  return nn::Attention(nn::AttentionOptions{.dim = c.hidden_size,
                                            .num_heads = sizes.heads,
                                            .num_kv_heads = sizes.kv_heads,
                                            .head_dim = c.head_dim,
                                            .qkv_bias = c.qkv_bias,
                                            .output_bias = c.output_bias,
                                            .qk_norm = c.qk_norm,
                                            .norm_eps = c.rms_norm_eps,
                                            .dropout = c.attention_dropout,
                                            .kv_head_of = sizes.kv_head_of},
                       tensor_options);
}

nn::FeedForward CommonFamily::feed_forward(const DecoderConfig& c, const LayerSizes& sizes,
                                           const at::TensorOptions& tensor_options) const {
  return nn::Mlp(nn::MlpOptions{.dim = c.hidden_size, .hidden = sizes.channels, .bias = c.mlp_bias},
                 tensor_options);
}

nn::Norm CommonFamily::norm(const DecoderConfig& c, const at::TensorOptions& tensor_options) const {
  return nn::RmsNorm(c.hidden_size, c.rms_norm_eps, tensor_options);
}

}  // namespace hone::model
