// Parameters of the released models, from what their config.json says: one test of every shape.
// Totals: ../shared/reference/deepseek-architectures.md, section 1, which reproduce those that
// DeepSeek, Qwen and Meta publish.
#include <torch/types.h>

#include <map>
#include <string>

#include "hone/model/checkpoint.h"
#include "hone/model/config.h"
#include "hone/model/cost.h"
#include "support/catch.h"

namespace hone::model {
namespace {

Json dense(const char* type, int64_t width, int64_t hidden, int64_t layers, int64_t heads,
           int64_t kv_heads, int64_t vocabulary) {
  return {{"model_type", type},           {"hidden_size", width},
          {"intermediate_size", hidden},  {"num_hidden_layers", layers},
          {"num_attention_heads", heads}, {"num_key_value_heads", kv_heads},
          {"vocab_size", vocabulary},     {"max_position_embeddings", 4096}};
}

Json with(Json config, const Json& more) {
  config.update(more);
  return config;
}

Json experts(Json config, int64_t count, int64_t shared, int64_t chosen, int64_t width,
             int64_t first) {
  return with(std::move(config), {{"n_routed_experts", count},
                                  {"n_shared_experts", shared},
                                  {"num_experts_per_tok", chosen},
                                  {"moe_intermediate_size", width},
                                  {"first_k_dense_replace", first},
                                  {"routed_scaling_factor", 1}});
}

Json latent(Json config, const Json& query_rank) {
  return with(std::move(config), {{"q_lora_rank", query_rank},
                                  {"kv_lora_rank", 512},
                                  {"qk_nope_head_dim", 128},
                                  {"qk_rope_head_dim", 64},
                                  {"v_head_dim", 128}});
}

/// Its layers' ratios: `first` twice, then 4 and 128 in turn, and one for multi-token prediction.
Json v4(int64_t width, int64_t layers, int64_t heads, int64_t query_rank, int64_t groups,
        int64_t experts, int64_t hidden, int64_t chosen_entries, int64_t first) {
  Json ratios = {first, first};
  for (int64_t i = 2; i < layers; ++i) ratios.push_back(i % 2 == 0 ? 4 : 128);
  ratios.push_back(0);
  return {{"model_type", "deepseek_v4"},
          {"hidden_size", width},
          {"num_hidden_layers", layers},
          {"num_attention_heads", heads},
          {"num_key_value_heads", 1},
          {"head_dim", 512},
          {"qk_rope_head_dim", 64},
          {"vocab_size", 129280},
          {"max_position_embeddings", 1048576},
          {"q_lora_rank", query_rank},
          {"o_groups", groups},
          {"o_lora_rank", 1024},
          {"sliding_window", 128},
          {"compress_ratios", ratios},
          {"compress_rope_theta", 160000},
          {"index_n_heads", 64},
          {"index_head_dim", 128},
          {"index_topk", chosen_entries},
          {"n_routed_experts", experts},
          {"n_shared_experts", 1},
          {"num_experts_per_tok", 6},
          {"moe_intermediate_size", hidden},
          {"routed_scaling_factor", 1.5},
          {"swiglu_limit", 10},
          {"num_hash_layers", 3},
          {"hc_mult", 4},
          {"hc_sinkhorn_iters", 20},
          {"hc_eps", 1e-6}};
}

struct Released {
  const char* name;
  Json config;
  double billions;
  double active = 0;   ///< billions for a token, embeddings included; 0: all
  int64_t cached = 0;  ///< numbers that a cache keeps of a position and layer; 0: not told
};

const std::vector<Released> kReleased = {
    {"deepseek-llm-7b", dense("llama", 4096, 11008, 30, 32, 32, 102400), 6.910},
    {"deepseek-llm-67b", dense("llama", 8192, 22016, 95, 64, 8, 102400), 67.425},
    {"deepseek-coder-1.3b", dense("llama", 2048, 5504, 24, 16, 16, 32256), 1.346},
    {"deepseek-coder-6.7b", dense("llama", 4096, 11008, 32, 32, 32, 32256), 6.741},
    {"deepseek-coder-33b", dense("llama", 7168, 19200, 62, 56, 8, 32256), 33.343},
    {"R1-Distill-Qwen-1.5B", dense("qwen2", 1536, 8960, 28, 12, 2, 151936), 1.777},
    {"R1-Distill-Qwen-7B", dense("qwen2", 3584, 18944, 28, 28, 4, 152064), 7.616},
    {"R1-Distill-Qwen-14B", dense("qwen2", 5120, 13824, 48, 40, 8, 152064), 14.770},
    {"R1-Distill-Qwen-32B", dense("qwen2", 5120, 27648, 64, 40, 8, 152064), 32.764},
    {"R1-Distill-Llama-8B", dense("llama", 4096, 14336, 32, 32, 8, 128256), 8.030},
    {"R1-Distill-Llama-70B", dense("llama", 8192, 28672, 80, 64, 8, 128256), 70.554},
    {"R1-0528-Qwen3-8B", with(dense("qwen3", 4096, 12288, 36, 32, 8, 151936), {{"head_dim", 128}}),
     8.191},
    {"MoE-16B", experts(dense("deepseek", 2048, 10944, 28, 16, 16, 102400), 64, 2, 6, 1408, 1),
     16.376, 2.83, 2 * 16 * 128},
    {"V2-Lite",
     latent(experts(dense("deepseek_v2", 2048, 10944, 27, 16, 16, 102400), 64, 2, 6, 1408, 1),
            nullptr),
     15.706, 2.66, 576},
    {"V2",
     with(latent(
              experts(dense("deepseek_v2", 5120, 12288, 60, 128, 128, 102400), 160, 2, 6, 1536, 1),
              1536),
          {{"topk_method", "group_limited_greedy"}, {"n_group", 8}, {"topk_group", 3}}),
     235.74, 21.4, 576},
    {"V3",
     with(latent(
              experts(dense("deepseek_v3", 7168, 18432, 61, 128, 128, 129280), 256, 1, 8, 2048, 3),
              1536),
          {{"n_group", 8}, {"topk_group", 4}, {"num_nextn_predict_layers", 1}}),
     671.03, 37.6, 576},
    {"V3.2",
     with(latent(
              experts(dense("deepseek_v32", 7168, 18432, 61, 128, 128, 129280), 256, 1, 8, 2048, 3),
              1536),
          {{"n_group", 8},
           {"topk_group", 4},
           {"index_n_heads", 64},
           {"index_head_dim", 128},
           {"index_topk", 2048}}),
     671.03 + 61 * 13.96e-3, 37.6 + 61 * 13.96e-3, 576 + 128},
    // Told as 13 and 49, without embeddings and indexers.
    {"V4-Flash", v4(4096, 43, 64, 1024, 8, 256, 2048, 512, 0), 284.3, 13.8},
    {"V4-Pro", v4(7168, 61, 128, 1536, 16, 384, 3072, 1024, 128), 1573, 49.78},
};

TEST_CASE("Released models have the parameters that they are said to have") {
  for (const Released& model : kReleased) {
    INFO(model.name);
    const auto config = DecoderConfig::from_json(model.config, model.name);
    const Cost cost(config);
    double numbers = 0;  // those that nothing trains included
    for (const auto& [name, tensor] : make_decoder(config, at::kMeta, at::kFloat)->base_tensors()) {
      if (tensor.is_floating_point()) numbers += static_cast<double>(tensor.numel());
    }
    // The totals are told to so many digits.
    CHECK(numbers / 1e9 == Approx(model.billions).epsilon(4e-4));
    const double active = model.active > 0 ? model.active : model.billions;
    CHECK(static_cast<double>(cost.active_parameters()) / 1e9 == Approx(active).epsilon(5e-3));
    if (model.cached == 0) continue;
    CHECK(cost.cache_bytes(at::kBFloat16, 1, 1) == 2 * model.cached * config.num_hidden_layers);
  }
}

TEST_CASE("DeepSeek-V4's layers have the tensors of the released files") {
  // ../shared/reference/deepseek-architectures.md, 2.9: counted with the scales of quantised ones.
  const auto config =
      DecoderConfig::from_json(v4(4096, 43, 64, 1024, 8, 256, 2048, 512, 0), "V4-Flash");
  std::map<std::string, int64_t> counts;
  for (const CheckpointTensor& tensor :
       make_decoder(config, at::kMeta, at::kFloat)->checkpoint_tensors()) {
    const std::string& name = tensor.name;
    const bool layer = name.starts_with("layers.");
    int64_t& count = counts[layer ? name.substr(0, name.find('.', 7)) : "root"];
    ++count;
    for (const char* part : {"attn.w", ".wq_b.", ".w1.", ".w2.", ".w3."}) {
      if (layer && name.find(part) != std::string::npos) {
        ++count;
        break;
      }
    }
  }
  CHECK(counts.at("root") == 6);
  CHECK(counts.at("layers.0") == 1565);
  CHECK(counts.at("layers.2") == 1576);
  CHECK(counts.at("layers.3") == 1569);
}

}  // namespace
}  // namespace hone::model
