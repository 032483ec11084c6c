#include "hone/run/architecture.h"

#include "hone/config/reader.h"
#include "hone/core/error.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::run;

namespace {

std::string problems(const char* json) {
  try {
    config::read_config<ArchitectureOptions>(parse_json(json, "recipe"));
    return "";
  } catch (const ConfigError& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("An architecture becomes the config.json of its family") {
  const Json config = architecture_config({.model_type = model::model_type("qwen3"),
                                           .hidden_size = 64,
                                           .num_attention_heads = 8,
                                           .rope_theta = 5e5},
                                          300, 7, 9);
  CHECK(config.at("architectures") == Json{"Qwen3ForCausalLM"});
  CHECK(config.at("model_type") == "qwen3");
  CHECK(config.at("num_key_value_heads") == 8);  // as many as query heads
  CHECK(config.at("head_dim") == 8);             // hidden_size over heads
  CHECK(config.at("rope_theta") == 5e5);
  CHECK(config.at("bos_token_id") == 7);
  CHECK(config.at("eos_token_id") == 9);
  const auto read = model::DecoderConfig::from_json(config, "test");
  CHECK(read.vocab_size == 320);

  const Json plain = architecture_config(
      {.num_attention_heads = 4, .num_key_value_heads = 2, .head_dim = 10}, 1, {}, {});
  CHECK(plain.at("architectures") == Json{"LlamaForCausalLM"});
  CHECK(plain.at("num_key_value_heads") == 2);
  CHECK(plain.at("head_dim") == 10);
  CHECK_FALSE(plain.contains("bos_token_id"));
  CHECK_FALSE(plain.contains("eos_token_id"));
  CHECK(architecture_config({.model_type = model::model_type("qwen2")}, 1, {}, {})
            .at("architectures") == Json{"Qwen2ForCausalLM"});
}

TEST_CASE("The embedding's rows are the next multiple, not one more") {
  const auto rows = [](int64_t vocabulary, int64_t multiple) {
    return architecture_config({.vocab_multiple = multiple}, vocabulary, {}, {})
        .at("vocab_size")
        .get<int64_t>();
  };
  CHECK(rows(63, 64) == 64);
  CHECK(rows(64, 64) == 64);
  CHECK(rows(65, 64) == 128);
  CHECK(rows(301, 1) == 301);
}

TEST_CASE("Sizes that do not fit each other are refused by name") {
  CHECK(problems("{}") == "");
  CHECK(problems(R"({"hidden_size": 30, "num_attention_heads": 4})") ==
        "/num_attention_heads: must divide hidden_size 30 unless head_dim is given, got 4\n"
        "/head_dim: must be even for rotary embeddings, got 7");
  CHECK(problems(R"({"hidden_size": 30, "num_attention_heads": 4, "head_dim": 8})") == "");
  CHECK(problems(R"({"head_dim": 9})") == "/head_dim: must be even for rotary embeddings, got 9");
  CHECK(problems(R"({"num_attention_heads": 4, "num_key_value_heads": 3})") ==
        "/num_key_value_heads: must divide num_attention_heads 4, got 3");
  CHECK(problems(R"({"num_attention_heads": 4, "num_key_value_heads": 4})") == "");
}

namespace {

const std::string kV3 =
    R"("model_type": "deepseek_v3", "kv_lora_rank": 32, "qk_nope_head_dim": 16,
       "qk_rope_head_dim": 8, "v_head_dim": 16, "n_routed_experts": 8, "num_experts_per_tok": 2,
       "n_shared_experts": 1, "moe_intermediate_size": 64, "first_k_dense_replace": 1,
       "n_group": 1, "topk_group": 1, "routed_scaling_factor": 2.5)";

}  // namespace

TEST_CASE(
    "An architecture of latent attention and experts; keys of other families have no effect") {
  const auto options =
      config::read_config<ArchitectureOptions>(parse_json("{" + kV3 + "}", "recipe"));
  const Json config = architecture_config(options, 300, {}, {});
  CHECK(config.at("n_routed_experts") == 8);
  CHECK(config.at("routed_scaling_factor") == 2.5);
  CHECK(config.at("head_dim") == 8);  // what is rotated, as transformers has it
  CHECK(config.at("q_lora_rank").is_null());
  CHECK_FALSE(config.contains("norm_topk_prob"));
  CHECK_FALSE(architecture_config({}, 300, {}, {}).contains("n_routed_experts"));

  CHECK(problems(("{" + kV3 + R"(, "head_dim": 32, "num_experts": 4})").c_str()) ==
        "/num_experts: has no effect with model_type deepseek_v3; remove it\n"
        "/head_dim: has no effect on latent attention, whose heads have widths of their own; "
        "remove it");
  CHECK(problems(R"({"model_type": "llama", "kv_lora_rank": 8})") ==
        "/kv_lora_rank: has no effect with model_type llama; remove it");
  const std::string lacks = problems(R"({"model_type": "deepseek_v2", "n_routed_experts": 4})");
  CHECK(lacks.starts_with("/model_type: deepseek_v2: /qk_rope_head_dim: is missing; "));
  CHECK(lacks.find("/num_experts_per_tok: is missing") != std::string::npos);
  CHECK(problems(R"({"model_type": "deepseek_v32"})")
            .starts_with("/model_type: deepseek_v32 needs weights: its indexer learns"));
}
