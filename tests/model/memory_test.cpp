#include "hone/model/memory.h"

#include <torch/types.h>

#include "hone/core/error.h"
#include "hone/optim/adamw.h"
#include "model/measured_peak.h"
#include "support/catch.h"

namespace hone::model {
namespace {

struct Recipe {
  const char* name;
  Json config;
  MemoryRequest request;
};

Json config_of(std::initializer_list<std::pair<const char*, Json>> changes) {
  Json config = {{"model_type", "llama"},    {"hidden_size", 192},
                 {"intermediate_size", 512}, {"num_hidden_layers", 6},
                 {"num_attention_heads", 6}, {"num_key_value_heads", 2},
                 {"vocab_size", 3000},       {"max_position_embeddings", 2048}};
  for (const auto& [key, value] : changes) config[key] = value;
  return config;
}

/// A small DeepSeek-V3, or another family by `changes`.
Json expert_config(std::initializer_list<std::pair<const char*, Json>> changes) {
  Json config = config_of({{"model_type", "deepseek_v3"},
                           {"q_lora_rank", 96},
                           {"kv_lora_rank", 64},
                           {"qk_nope_head_dim", 32},
                           {"qk_rope_head_dim", 16},
                           {"v_head_dim", 32},
                           {"n_routed_experts", 16},
                           {"num_experts_per_tok", 4},
                           {"n_shared_experts", 1},
                           {"moe_intermediate_size", 128},
                           {"first_k_dense_replace", 1},
                           {"routed_scaling_factor", 2.5},
                           {"n_group", 1},
                           {"topk_group", 1}});
  for (const auto& [key, value] : changes) config[key] = value;
  return config;
}

/// A small DeepSeek-V4.
Json v4_config(std::initializer_list<std::pair<const char*, Json>> changes) {
  Json config = test::v4_config();
  config.update({{"hidden_size", 192},
                 {"head_dim", 48},
                 {"qk_rope_head_dim", 16},
                 {"vocab_size", 3000},
                 {"max_position_embeddings", 2048},
                 {"q_lora_rank", 96},
                 {"o_lora_rank", 48},
                 {"sliding_window", 32},
                 {"compress_rates", {{"heavily_compressed_attention", 32}}},
                 {"index_n_heads", 4},
                 {"index_head_dim", 32},
                 {"index_topk", 8},
                 {"n_routed_experts", 16},
                 {"num_experts_per_tok", 4},
                 {"moe_intermediate_size", 128},
                 {"hc_mult", 4},
                 {"hc_sinkhorn_iters", 20}});
  for (const auto& [key, value] : changes) config[key] = value;
  return config;
}

/// Two layers of DeepSeek-V3.2.
Json sparse_config(std::initializer_list<std::pair<const char*, Json>> changes) {
  Json config = expert_config({{"model_type", "deepseek_v32"},
                               {"index_n_heads", 4},
                               {"index_head_dim", 32},
                               {"index_topk", 64},
                               {"num_hidden_layers", 2}});
  for (const auto& [key, value] : changes) config[key] = value;
  return config;
}

int64_t measured_peak(const Recipe& recipe) {
  return test::measured_peak(recipe.config, recipe.request);
}

const nn::LoraOptions kAttentionLora = {.rank = 8, .targets = {"q_proj", "v_proj", "o_proj"}};
const nn::LoraOptions kDroppedLora = {.rank = 16, .dropout = 0.1, .modules_to_save = {"lm_head"}};
const nn::LoraOptions kDora = {.rank = 8, .targets = {"up_proj", "down_proj"}, .dora = true};

const nn::LoraOptions kExpertLora = {
    .rank = 8, .target_parameters = {"experts.gate_up_proj", "experts.down_proj"}};

/// Layers 1 and 4 dropped; two with uneven groups of heads, one with few channels.
const Json kPruned = [] {
  Json channels = Json::array();
  for (int i = 0; i < 512; i += 4) channels.push_back(i);
  return Json{{"layers",
               {{{"index", 0}, {"heads", {0, 1, 2, 5}}},
                {{"index", 2}, {"heads", {1}}, {"channels", channels}},
                {{"index", 3}},
                {{"index", 5}, {"heads", {0, 1, 4}}}}}};
}();

const std::vector<Recipe> kRecipes = {
    {"full", config_of({}), {.tokens_per_batch = 1024, .documents = 4}},
    {"full, unequal documents in a padded grid",
     config_of({}),
     {.tokens_per_batch = 1024, .documents = 4, .longest = 500}},
    {"full, one document much longer, no grid",
     config_of({}),
     {.tokens_per_batch = 1024, .documents = 4, .longest = 700}},
    {"lora, unequal documents, attention dropout",
     config_of({{"attention_dropout", 0.1}}),
     {.tokens_per_batch = 1024, .documents = 8, .longest = 250, .lora = kAttentionLora}},
    {"full, one document, accumulating",
     config_of({}),
     {.tokens_per_batch = 512, .accumulation = 2}},
    {"full, small batch", config_of({{"tie_word_embeddings", true}}), {.tokens_per_batch = 64}},
    {"full, qwen3",
     config_of({{"model_type", "qwen3"}, {"head_dim", 64}}),
     {.tokens_per_batch = 1024, .documents = 8}},
    {"full, attention dropout",
     config_of({{"attention_dropout", 0.1}}),
     {.tokens_per_batch = 1024, .documents = 4}},
    {"full, dropout of branches",
     config_of({}),
     {.tokens_per_batch = 1024, .documents = 4, .branch_dropout = true}},
    {"full, dropout of branches, every block again",
     config_of({{"num_hidden_layers", 12}}),
     {.tokens_per_batch = 2048, .documents = 8, .checkpoint_every = 1, .branch_dropout = true}},
    {"full, large vocabulary",
     config_of({{"hidden_size", 64}, {"num_attention_heads", 4}, {"vocab_size", 100000}}),
     {.tokens_per_batch = 512}},
    {"full, every block again",
     config_of({{"num_hidden_layers", 12}}),
     {.tokens_per_batch = 2048, .documents = 8, .checkpoint_every = 1}},
    {"full, every third block again",
     config_of({{"num_hidden_layers", 12}}),
     {.tokens_per_batch = 2048, .documents = 8, .checkpoint_every = 3}},
    {"lora on attention",
     config_of({}),
     {.tokens_per_batch = 1024, .documents = 4, .lora = kAttentionLora}},
    {"lora everywhere with dropout",
     config_of({}),
     {.tokens_per_batch = 1024, .documents = 4, .lora = kDroppedLora}},
    {"dora, again",
     config_of({}),
     {.tokens_per_batch = 1024, .documents = 4, .checkpoint_every = 1, .lora = kDora}},
    {"full, pruned",
     config_of({{"hone_pruned", kPruned}}),
     {.tokens_per_batch = 1024, .documents = 4}},
    {"lora, pruned, every block again",
     config_of({{"hone_pruned", kPruned}}),
     {.tokens_per_batch = 1024, .documents = 8, .checkpoint_every = 1, .lora = kDroppedLora}},
    {"full, experts and latent attention",
     expert_config({}),
     {.tokens_per_batch = 1024, .documents = 4}},
    {"full, experts and latent attention, unequal documents, every block again",
     expert_config({{"q_lora_rank", nullptr}, {"n_shared_experts", 2}}),
     {.tokens_per_batch = 2048, .documents = 4, .longest = 700, .checkpoint_every = 1}},
    {"full, sparse attention",
     expert_config({{"model_type", "deepseek_v32"},
                    {"index_n_heads", 4},
                    {"index_head_dim", 32},
                    {"index_topk", 64}}),
     {.tokens_per_batch = 2048, .documents = 2}},
    {"full, sparse attention, one long document", sparse_config({}), {.tokens_per_batch = 2048}},
    {"sparse attention and its indexers",
     sparse_config({{"num_hidden_layers", 6}}),
     {.tokens_per_batch = 1024, .documents = 4, .index = nn::IndexLearning::kSparse}},
    {"sparse attention and its indexers, one long document, every block again",
     sparse_config({{"index_n_heads", 16}, {"index_head_dim", 64}}),
     {.tokens_per_batch = 2048, .checkpoint_every = 1, .index = nn::IndexLearning::kSparse}},
    {"warm-up of the indexers",
     sparse_config({{"num_hidden_layers", 6}, {"index_n_heads", 16}, {"index_head_dim", 64}}),
     {.tokens_per_batch = 1024, .documents = 4, .index = nn::IndexLearning::kWarmUp}},
    {"warm-up of the indexers, one long document, every block again",
     sparse_config({}),
     {.tokens_per_batch = 2048, .checkpoint_every = 1, .index = nn::IndexLearning::kWarmUp}},
    {"full, multi-token prediction",
     expert_config({{"num_nextn_predict_layers", 1}}),
     {.tokens_per_batch = 1024, .documents = 4}},
    {"full, two layers for multi-token prediction, accumulating",
     expert_config({{"num_nextn_predict_layers", 2}, {"num_hidden_layers", 2}}),
     {.tokens_per_batch = 1024, .documents = 4, .accumulation = 2}},
    {"full, multi-token prediction, large vocabulary, every block again",
     expert_config(
         {{"num_nextn_predict_layers", 1}, {"num_hidden_layers", 2}, {"vocab_size", 30000}}),
     {.tokens_per_batch = 2048, .documents = 4, .checkpoint_every = 1}},
    {"lora on latent attention beside experts",
     expert_config({{"v_head_dim", 48}}),
     {.tokens_per_batch = 2048,
      .documents = 8,
      .lora =
          nn::LoraOptions{.rank = 8, .targets = {"q_a_proj", "q_b_proj", "kv_b_proj", "o_proj"}}}},
    {"lora on experts alone",
     expert_config({}),
     {.tokens_per_batch = 1024, .documents = 4, .lora = kExpertLora}},
    {"lora on experts, and on attention with dropout to come",
     expert_config({}),
     {.tokens_per_batch = 1024,
      .documents = 4,
      .lora = nn::LoraOptions{.targets = {"q_a_proj", "q_b_proj", "o_proj"},
                              .target_parameters = kExpertLora.target_parameters},
      .lora_dropout = true}},
    {"lora of a high rank on experts, few rows",
     expert_config({{"model_type", "qwen3_moe"},
                    {"num_experts", 64},
                    {"head_dim", 32},
                    {"moe_intermediate_size", 48},
                    {"num_experts_per_tok", 6}}),
     {.tokens_per_batch = 512,
      .documents = 4,
      .lora = nn::LoraOptions{.rank = 32,
                              .targets = {"q_proj", "o_proj"},
                              .target_parameters = kExpertLora.target_parameters}}},
    {"full, many small experts",
     expert_config({{"model_type", "qwen3_moe"},
                    {"num_experts", 64},
                    {"head_dim", 32},
                    {"moe_intermediate_size", 48},
                    {"num_experts_per_tok", 6}}),
     {.tokens_per_batch = 1024, .documents = 1}},
    {"full, streams", v4_config({}), {.tokens_per_batch = 1024, .documents = 4}},
    {"full, streams, every block again",
     v4_config({}),
     {.tokens_per_batch = 2048, .documents = 4, .checkpoint_every = 1}},
    {"full, two streams, dropout of branches",
     v4_config({{"hc_mult", 2}}),
     {.tokens_per_batch = 1024, .documents = 2, .branch_dropout = true}},
    {"lora, streams",
     v4_config({}),
     {.tokens_per_batch = 2048,
      .documents = 8,
      .lora = nn::LoraOptions{.rank = 8, .targets = {"q_a_proj", "q_b_proj", "o_b_proj"}}}},
    {"lora with token rows",
     config_of({}),
     {.tokens_per_batch = 512, .documents = 2, .lora = kAttentionLora, .token_rows = 50}},
};

TEST_CASE("predict_memory is within a tenth of the measured peak") {
  for (const Recipe& recipe : kRecipes) {
    DecoderConfig config = DecoderConfig::from_json(recipe.config, recipe.name);
    if (config.model_type->multi_token_layers(config) > 0) join_multi_token(config);
    const MemoryPlan plan = predict_memory(config, recipe.request);
    const auto measured = static_cast<double>(measured_peak(recipe));
    INFO(recipe.name << ": predicted " << plan.peak << ", measured " << measured << ", ratio "
                     << static_cast<double>(plan.peak) / measured);
    CHECK(std::abs(static_cast<double>(plan.peak) - measured) <= 0.1 * measured);
  }
}

TEST_CASE("predict_memory: checkpointing lowers the measured peak as it predicts") {
  const Recipe all = {
      "kept", config_of({{"num_hidden_layers", 12}}), {.tokens_per_batch = 2048, .documents = 8}};
  Recipe again = all;
  again.request.checkpoint_every = 1;
  const auto config = DecoderConfig::from_json(all.config, all.name);
  const int64_t saved = measured_peak(all) - measured_peak(again);
  const int64_t predicted =
      predict_memory(config, all.request).peak - predict_memory(config, again.request).peak;
  CHECK(saved > 100 << 20);
  CHECK(std::abs(static_cast<double>(saved - predicted)) <= 0.1 * static_cast<double>(saved));
}

TEST_CASE("predict_memory: parts are exact where sizes fix them") {
  const Json json = config_of({});
  const auto config = DecoderConfig::from_json(json, "test");
  const MemoryPlan plan = predict_memory(config, {.tokens_per_batch = 128});
  const int64_t block = 192 * 192 * 2 + 192 * 64 * 2 + 3 * 192 * 512 + 2 * 192;
  const int64_t parameters = 6 * block + 2 * 3000 * 192 + 192;
  CHECK(plan.weights == 4 * parameters);
  CHECK(plan.gradients == 4 * parameters);
  CHECK(plan.optimizer_states == 8 * parameters);
  CHECK(plan.items().size() == 6);
  CHECK(plan.items().back() == std::pair<std::string, int64_t>("peak", plan.peak));

  const MemoryPlan half = predict_memory(config, {.bytes_per_element = 2});
  CHECK(half.weights == 2 * parameters);
  CHECK(half.optimizer_states == 12 * parameters);

  const MemoryPlan lora = predict_memory(config, {.lora = kAttentionLora});
  const int64_t adapter = 6 * 8 * (192 + 192 + 192 + 64 + 192 + 192);
  CHECK(lora.gradients == 4 * adapter);
  CHECK(lora.weights == 4 * (parameters + adapter));

  MemoryRequest wrong = {.lora = nn::LoraOptions{.targets = {"c_attn"}}};
  CHECK_THROWS_WITH(predict_memory(config, wrong), Catch::Contains("c_attn"));
  wrong.lora = nn::LoraOptions{.rank_pattern = {{"q_prj", 4}}};
  CHECK_THROWS_WITH(predict_memory(config, wrong), Catch::Contains("rank_pattern q_prj"));
}

TEST_CASE("predict_memory: other devices hold groups and rows in float32 beside the rest") {
  const auto config = DecoderConfig::from_json(
      config_of({{"vocab_size", 100000}, {"hidden_size", 64}, {"num_attention_heads", 4}}), "test");
  MemoryRequest request = {.tokens_per_batch = 4096, .bytes_per_element = 2};
  const MemoryPlan cpu = predict_memory(config, request);
  request.device = at::Device(at::kCUDA, 0);
  const MemoryPlan gpu = predict_memory(config, request);
  const int64_t rows = kernels::wide_rows(100000), copies = 2 * 4 * rows * 100000;
  CHECK(copies <= 2 * kernels::kChunkBytes);
  CHECK(cpu.loss == 2 * (2 * 4096 * 64 + 256 * (100000 + 128)) + copies);
  CHECK(gpu.loss == 2 * (2 * 4096 * 64 + 2048 * (100000 + 128)) + copies);
  request.bytes_per_element = 4;  // no copy to widen the rows
  CHECK(predict_memory(config, request).loss ==
        4 * (2 * 4096 * 64 + 2048 * (100000 + 128)) + copies / 2);
  // A step of the optimiser: weights, gradients and states, and one group of gradients.
  const MemoryRequest tiny = {
      .tokens_per_batch = 2, .bytes_per_element = 2, .device = at::Device(at::kCUDA, 0)};
  const auto wide = DecoderConfig::from_json(
      config_of({{"hidden_size", 1536}, {"intermediate_size", 4096}, {"num_hidden_layers", 2}}),
      "test");
  const MemoryPlan step = predict_memory(wide, tiny);
  CHECK(step.peak == step.weights + step.gradients + step.optimizer_states + 4 * optim::kStepGroup);
}

}  // namespace
}  // namespace hone::model
