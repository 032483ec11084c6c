// Every key of every family's config.json with values that it should not have, one and two at a
// time: an error that says why, or a decoder that can be described; nothing else, and no memory.
#include <torch/types.h>

#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/random.h"
#include "hone/model/checkpoint.h"
#include "model/support.h"
#include "support/catch.h"

namespace hone::model {
namespace {

const std::vector<Json> kHostile = {
    nullptr,
    true,
    "x",
    "",
    -1,
    0,
    1,
    2,
    3,
    7,
    64,
    65536,
    int64_t{1} << 40,
    INT64_MAX,
    UINT64_MAX,
    -0.5,
    0.5,
    1e308,
    Json::array(),
    {0, 5, -3},
    Json::object(),
    {{"rope_type", "yarn"}, {"factor", 4}, {"mscale_all_dim", 1e6}}};

/// Configs that are right, with every key that a family reads.
std::vector<Json> whole_configs() {
  const Json common = {
      {"tie_word_embeddings", false}, {"attention_bias", false}, {"mlp_bias", false},
      {"attention_dropout", 0.0},     {"rope_theta", 10000},     {"rope_scaling", nullptr},
      {"rms_norm_eps", 1e-6},         {"hidden_act", "silu"},    {"quantization_config", nullptr}};
  const Json experts = {{"n_routed_experts", 8},
                        {"num_experts", 8},
                        {"num_experts_per_tok", 2},
                        {"n_shared_experts", 1},
                        {"moe_intermediate_size", 8},
                        {"first_k_dense_replace", 1},
                        {"moe_layer_freq", 1},
                        {"n_group", 4},
                        {"topk_group", 2},
                        {"routed_scaling_factor", 2.5},
                        {"norm_topk_prob", false},
                        {"num_nextn_predict_layers", 1},
                        {"decoder_sparse_step", 1},
                        {"mlp_only_layers", Json::array()}};
  const Json latent = {{"q_lora_rank", 6},      {"kv_lora_rank", 8},   {"qk_nope_head_dim", 4},
                       {"qk_rope_head_dim", 4}, {"v_head_dim", 4},     {"rope_interleave", true},
                       {"index_n_heads", 2},    {"index_head_dim", 8}, {"index_topk", 4}};
  std::vector<Json> configs;
  for (const auto& [type, name] : model_types()) {
    if (std::string(name) == "toy") continue;
    Json config = test::small_config(name);
    for (const Json& more : {common, experts, latent}) config.update(more);
    if (std::string(name) == "deepseek_v4") {
      config = common;
      config.update(test::v4_config());
    }
    configs.push_back(std::move(config));
  }
  return configs;
}

/// "" or what is wrong with how it was taken.
std::string taken(const Json& json) {
  try {
    const auto config = DecoderConfig::from_json(json, "config.json");
    if (config.num_hidden_layers > 8 || config.num_attention_heads > 4096) return "";
    const Decoder decoder = make_decoder(config, at::kMeta, at::kFloat);
    if (decoder->checkpoint_tensors().empty()) return "a decoder without tensors";
    return "";
  } catch (const Error& error) {
    return std::string(error.what()).starts_with("config.json: ") ? "" : error.what();
  } catch (const std::exception& error) {
    return error.what();
  }
}

TEST_CASE("Hostile configs: one key at a time, and two") {
  Random random(7);
  for (const Json& whole : whole_configs()) {
    INFO(whole.at("model_type"));
    CHECK(taken(whole) == "");
    std::vector<std::string> keys;
    for (const auto& [key, value] : whole.items()) keys.push_back(key);
    for (const std::string& key : keys) {
      for (const Json& value : kHostile) {
        Json config = whole;
        config[key] = value;
        const std::string problem = taken(config);
        if (!problem.empty()) FAIL_CHECK(key << ": " << value << ": " << problem);
      }
    }
    for (int i = 0; i < 500; ++i) {
      Json config = whole;
      for (int j = 0; j < 2; ++j) {
        config[keys[random.below(keys.size())]] = kHostile[random.below(kHostile.size())];
      }
      const std::string problem = taken(config);
      if (!problem.empty()) FAIL_CHECK(config << ": " << problem);
    }
  }
}

}  // namespace
}  // namespace hone::model
