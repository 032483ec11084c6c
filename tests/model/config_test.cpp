#include "hone/model/config.h"

#include <torch/types.h>

#include "hone/core/error.h"
#include "model/support.h"
#include "support/catch.h"

namespace hone::model {
namespace {

using Catch::Contains;

DecoderConfig read(Json json) { return DecoderConfig::from_json(json, "config.json"); }

Json changed(const char* key, Json value, const char* model_type = "llama") {
  Json json = test::small_config(model_type);
  json[key] = std::move(value);
  return json;
}

TEST_CASE("DecoderConfig: families and defaults") {
  const DecoderConfig llama = read(test::small_config());
  CHECK(llama.head_dim == 8);
  CHECK(llama.rms_norm_eps == 1e-6);
  CHECK(llama.initializer_range == 0.02);
  CHECK(llama.rope.theta == 10000);
  CHECK_FALSE((llama.qkv_bias || llama.output_bias || llama.mlp_bias || llama.qk_norm ||
               llama.tie_word_embeddings));
  CHECK(read(changed("attention_bias", true)).output_bias);
  CHECK(read(changed("mlp_bias", true)).mlp_bias);
  CHECK(read(changed("num_key_value_heads", nullptr)).num_key_value_heads == 4);
  CHECK(read(changed("head_dim", nullptr)).head_dim == 8);

  const DecoderConfig qwen2 = read(test::small_config("qwen2"));
  CHECK(qwen2.qkv_bias);
  CHECK_FALSE((qwen2.output_bias || qwen2.qk_norm));
  const DecoderConfig qwen3 = read(test::small_config("qwen3"));
  CHECK(qwen3.qk_norm);
  CHECK_FALSE(qwen3.qkv_bias);
}

TEST_CASE("DecoderConfig: every missing key is named at once") {
  CHECK_THROWS_WITH(
      read({{"model_type", "qwen3"}}),
      Contains("config.json: ") && Contains("hidden_size: is missing") &&
          Contains("intermediate_size: is missing") && Contains("num_hidden_layers: is missing") &&
          Contains("num_attention_heads: is missing") &&
          Contains("num_key_value_heads: is missing") && Contains("head_dim: is missing") &&
          Contains("vocab_size: is missing") && Contains("max_position_embeddings: is missing"));
}

TEST_CASE("DecoderConfig: what is not supported is named") {
  CHECK_THROWS_WITH(read(changed("model_type", "mamba")),
                    Contains("\"mamba\" is not supported; supported are llama, qwen2, qwen3"));
  CHECK_THROWS_WITH(read(changed("hidden_act", "gelu")), Contains("only silu") && Contains("gelu"));
  Json gptq = changed("quantization_config", {{"quant_method", "gptq"}, {"bits", 4}});
  gptq["hidden_size"] = 0;
  CHECK_THROWS_WITH(read(gptq), Contains("hidden_size: must be in") &&
                                    Contains("quant_method: \"gptq\" is not supported") &&
                                    Contains("/quantization_config/bits: is not supported"));
  CHECK_THROWS_WITH(read(changed("hidden_size", "32")),
                    Contains("hidden_size: expected integer, got \"32\""));
  CHECK_THROWS_WITH(read(changed("hidden_size", int64_t{1} << 40)),
                    Contains("hidden_size: must be in"));
  CHECK_THROWS_WITH(read(changed("hidden_size", 1e30)),
                    Contains("hidden_size: must be in") && Contains("got 1e+30"));
  CHECK_THROWS_WITH(read(changed("hidden_size", 32.0)),
                    Contains("hidden_size: expected integer, got 32.0"));
  CHECK_THROWS_WITH(read(changed("hidden_size", UINT64_MAX)), Contains("got 18446744073709551615"));
  CHECK_THROWS_WITH(read(changed("num_key_value_heads", 3)), Contains("must divide"));
  CHECK_THROWS_WITH(read(changed("head_dim", 9)), Contains("must be even, got 9"));
  CHECK_THROWS_WITH(read(changed("tie_word_embeddings", 1)), Contains("expected true or false"));
  CHECK_THROWS_WITH(read(changed("rms_norm_eps", "x")), Contains("expected number"));
  CHECK_THROWS_WITH(read(changed("partial_rotary_factor", 0.5)), Contains("partial_rotary_factor"));
  CHECK_THROWS_WITH(read(Json::array()), Contains("expected an object"));
}

TEST_CASE("DecoderConfig: a sliding window counts only when it is in use") {
  Json json = changed("sliding_window", 16, "qwen2");
  json["max_window_layers"] = 2;
  CHECK_NOTHROW(read(json));
  json["use_sliding_window"] = true;
  CHECK_THROWS_WITH(read(json), Contains("use_sliding_window"));
  json["max_window_layers"] = 3;
  CHECK_NOTHROW(read(json));
  json["layer_types"] = {"full_attention", "sliding_attention", "full_attention"};
  CHECK_THROWS_WITH(read(json), Contains("layer_types") && Contains("sliding_attention"));
}

TEST_CASE("DecoderConfig: rotary scaling in the forms of transformers 4 and 5") {
  Json old_form = changed("rope_theta", 5e5);
  old_form["rope_scaling"] = {{"type", "llama3"},
                              {"factor", 8},
                              {"low_freq_factor", 1},
                              {"high_freq_factor", 4},
                              {"original_max_position_embeddings", 32}};
  Json new_form = test::small_config();
  new_form["rope_parameters"] = {
      {"rope_type", "llama3"},   {"rope_theta", 5e5},
      {"factor", 8.0},           {"low_freq_factor", 1.0},
      {"high_freq_factor", 4.0}, {"original_max_position_embeddings", 32}};
  for (const Json& json : {old_form, new_form}) {
    const nn::RotaryOptions rope = read(json).rope;
    CHECK(rope.type == nn::RopeType::kLlama3);
    CHECK(rope.theta == 5e5);
    CHECK(rope.factor == 8);
    CHECK(rope.original_positions == 32);
    CHECK(rope.max_positions == 64);
  }
  const auto yarn = read(changed("rope_scaling", {{"rope_type", "yarn"},
                                                  {"factor", nullptr},
                                                  {"original_max_position_embeddings", 16},
                                                  {"mscale", 0.707},  // DeepSeek-V2's
                                                  {"mscale_all_dim", 0.707}}));
  CHECK(yarn.rope.factor == 4);
  CHECK(yarn.rope.mscale == 0.707);
  CHECK(yarn.rope.mscale_all_dim == 0.707);

  CHECK_THROWS_WITH(read(changed("rope_scaling", {{"type", "longrope"}})),
                    Contains("rope_scaling/rope_type: \"longrope\" is not supported"));
  CHECK_THROWS_WITH(read(changed("rope_scaling", {{"type", "linear"}})),
                    Contains("rope_scaling/factor: is missing"));
  CHECK_THROWS_WITH(read(changed("rope_parameters", {{"full_attention", Json::object()}})),
                    Contains("rope_parameters/full_attention"));
  CHECK_THROWS_WITH(read(changed("rope_scaling", 3)), Contains("rope_scaling: expected an object"));
}

}  // namespace
}  // namespace hone::model
