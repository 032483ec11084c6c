#include "hone/model/families/sparse.h"

#include <torch/types.h>

#include "hone/core/error.h"
#include "hone/core/log.h"
#include "hone/io/checkpoint.h"
#include "hone/model/adapter.h"
#include "hone/model/pruned/export.h"
#include "hone/model/pruned/pruning.h"
#include "model/support.h"
#include "support/catch.h"
#include "support/gradcheck.h"
#include "support/temporary_folder.h"

namespace hone::model {
namespace {

using Catch::Contains;
using hone::test::relative_difference;
using test::random_input;
using test::v3_config;

Json changed(Json config, const Json& changes) {
  config.update(changes);
  return config;
}

DecoderConfig read(const Json& config) { return DecoderConfig::from_json(config, "config.json"); }

at::Tensor logits(Decoder decoder) {
  const torch::NoGradGuard no_grad;
  decoder->eval();
  return decoder->logits(decoder->hidden(random_input({9, 4}, 40)));
}

Decoder load(const std::string& folder) {
  return load_decoder(io::Checkpoint::open(folder), at::kCPU, at::kFloat);
}

std::vector<std::string> names_of(const std::string& folder) {
  return io::Checkpoint::open(folder).names();
}

TEST_CASE("Experts: a tensor each or stacked, as they were read they are written") {
  const TemporaryFolder root;
  const Json config = v3_config();
  Decoder decoder = test::small_decoder(config);
  save_decoder(root.path + "/single", decoder, config);
  io::save_checkpoint(root.path + "/stacked", config, decoder->base_tensors());
  const io::Checkpoint single = io::Checkpoint::open(root.path + "/single");
  CHECK(single.shape("model.layers.1.mlp.experts.5.up_proj.weight") ==
        std::vector<int64_t>{20, 32});
  CHECK(single.has("model.layers.0.mlp.up_proj.weight"));
  CHECK_FALSE(single.has("model.layers.1.mlp.experts.gate_up_proj"));
  for (const char* form : {"/single", "/stacked"}) {
    Decoder loaded = load(root.path + form);
    CHECK(at::equal(logits(loaded), logits(decoder)));
    save_decoder(root.path + "/again", loaded, config);
    CHECK(names_of(root.path + "/again") == names_of(root.path + form));
  }
}

TEST_CASE("Experts: missing and misshapen ones are named") {
  const TemporaryFolder root;
  const Json config = v3_config();
  NamedTensors tensors = test::small_decoder(config)->hf_tensors();
  for (auto& [name, tensor] : tensors) {
    if (name == "model.layers.2.mlp.experts.3.down_proj.weight") tensor = at::zeros({32, 19});
    if (name == "model.layers.1.mlp.experts.0.gate_proj.weight") name = "model.layers.1.x";
    if (name == "model.layers.1.mlp.gate.e_score_correction_bias") name = "model.layers.1.y";
  }
  io::save_checkpoint(root.path + "/bad", config, tensors);
  CHECK_THROWS_WITH(
      load(root.path + "/bad"),
      Contains("model.layers.2.mlp.experts.3.down_proj.weight must be [32, 20], got [32, 19]") &&
          Contains("model.layers.1.mlp.experts.0.gate_proj.weight is missing") &&
          Contains("model.layers.1.mlp.gate.e_score_correction_bias is missing"));
  io::save_checkpoint(root.path + "/more", changed(config, {{"n_routed_experts", 9}}),
                      test::small_decoder(config)->hf_tensors());
  CHECK_THROWS_WITH(load(root.path + "/more"),
                    Contains("model.layers.1.mlp.gate.weight must be [9, 32], got [6, 32]") &&
                        Contains("model.layers.1.mlp.experts.8.gate_proj.weight is missing"));
}

TEST_CASE("Layers for multi-token prediction travel to the bit") {
  const TemporaryFolder root;
  const Json config = changed(v3_config(), {{"num_nextn_predict_layers", 1}});
  Decoder decoder = test::small_decoder(config);
  NamedTensors tensors = decoder->hf_tensors();
  tensors.emplace_back("model.layers.3.eh_proj.weight", at::randn({32, 64}).to(at::kBFloat16));
  io::save_checkpoint(root.path + "/mtp", config, tensors);
  Decoder loaded = load(root.path + "/mtp");
  CHECK(at::equal(logits(loaded), logits(decoder)));
  save_decoder(root.path + "/again", loaded, config);
  const io::Checkpoint again = io::Checkpoint::open(root.path + "/again");
  CHECK(again.dtype("model.layers.3.eh_proj.weight") == at::kBFloat16);
  CHECK(at::equal(again.load("model.layers.3.eh_proj.weight"), tensors.back().second));
  io::save_checkpoint(root.path + "/none", v3_config(), tensors);
  CHECK_THROWS_WITH(load(root.path + "/none"),
                    Contains("tensor model.layers.3.eh_proj.weight is not part of a deepseek_v3"));
}

TEST_CASE("Heads and layers of such a model are pruned, and exported") {
  const TemporaryFolder root;
  const Json config =
      changed(v3_config(), {{"num_nextn_predict_layers", 1}, {"first_k_dense_replace", 2}});
  Decoder decoder = test::small_decoder(config);
  cut_to(decoder, {{.index = 1, .heads = {0, 3}, .channels = {}},
                   {.index = 2, .heads = {1, 2, 3}, .channels = {}}});
  const at::Tensor pruned = logits(decoder);
  CHECK(export_pruned(root.path + "/plain", root.path + "/compact", decoder, config) ==
        ExportForm::kZeroFilled);
  CHECK(relative_difference(logits(load(root.path + "/plain")), pruned) < 1e-5);
  CHECK(at::equal(logits(load(root.path + "/compact")), pruned));
  const Json plain = io::Checkpoint::open(root.path + "/plain").config();
  CHECK(plain.at("num_hidden_layers") == 2);
  CHECK(plain.at("first_k_dense_replace") == 1);
  CHECK(plain.at("num_nextn_predict_layers") == 0);
}

Json v32_config() {
  return changed(v3_config(), {{"model_type", "deepseek_v32"},
                               {"index_n_heads", 3},
                               {"index_head_dim", 6},
                               {"index_topk", 5}});
}

TEST_CASE("DeepSeek-V3.2: all keys of its indexer that are wrong are named at once") {
  CHECK_NOTHROW(read(changed(v32_config(), {{"mlp_layer_types", {"dense", "sparse", "sparse"}}})));
  CHECK_THROWS_WITH(
      read(changed(v32_config(), {{"q_lora_rank", nullptr},
                                  {"index_head_dim", 3},
                                  {"index_topk", 0},
                                  {"mlp_layer_types", {"sparse", "sparse", "sparse"}}})),
      Contains("q_lora_rank: must be a width") &&
          Contains("index_head_dim: must be at least qk_rope_head_dim 4, got 3") &&
          Contains("index_topk") && Contains("mlp_layer_types: must say"));
}

TEST_CASE("DeepSeek-V3.2: saved, loaded, and with heads and layers pruned") {
  const TemporaryFolder root;
  const Json config = changed(v32_config(), {{"first_k_dense_replace", 2},
                                             {"mlp_layer_types", {"dense", "dense", "sparse"}}});
  Decoder decoder = test::small_decoder(config), again = test::small_decoder(config);
  CHECK(at::equal(logits(again), logits(decoder)));  // the indexer begins as the seed has it
  save_decoder(root.path + "/saved", decoder, config);
  CHECK(at::equal(logits(load(root.path + "/saved")), logits(decoder)));
  CHECK(io::Checkpoint::open(root.path + "/saved")
            .has("model.layers.2.self_attn.indexer.k_norm.bias"));
  cut_to(decoder, {{.index = 1, .heads = {0, 3}, .channels = {}},
                   {.index = 2, .heads = {1, 2, 3}, .channels = {}}});
  const at::Tensor pruned = logits(decoder);
  export_pruned(root.path + "/plain", root.path + "/compact", decoder, config);
  CHECK(relative_difference(logits(load(root.path + "/plain")), pruned) < 1e-5);
  CHECK(at::equal(logits(load(root.path + "/compact")), pruned));
}

TEST_CASE("Adapters of a model with experts are of attention unless they are told otherwise") {
  Decoder decoder = test::small_decoder(v3_config());
  add_lora(decoder, {.rank = 2}, 1);
  for (const nn::ModuleTensor& tensor : decoder->tensors()) {
    if (tensor.role != nn::Role::kAdapter) continue;
    INFO(tensor.name);
    CHECK(tensor.name.find(".self_attn.") != std::string::npos);
  }
  CHECK(nn::numel(*decoder, nn::Role::kAdapter) > 0);
  Decoder other = test::small_decoder(v3_config());
  std::string log;
  set_log_sink([&](LogLevel, std::string_view text) { log += text; });
  add_lora(other, {.rank = 2, .targets = {"shared_experts.up_proj"}}, 1);
  set_log_sink({});
  CHECK_THAT(log, Contains("PEFT 0.21") && Contains("hone-merge"));
  Decoder third = test::small_decoder(v3_config());
  CHECK_THROWS_WITH(
      add_lora(third, {.targets = {"mlp.gate"}}, 1),
      Contains("target mlp.gate matches model.layers.1.mlp.gate, which is no linear"));
}

TEST_CASE("Channels of experts are no units to prune") {
  Decoder decoder = test::small_decoder(v3_config());
  CHECK_THROWS_WITH(add_gates(decoder, {UnitKind::kChannels}),
                    Contains("layer 1 has no channels to prune"));
}

TEST_CASE("Config keys of experts and latent attention: every problem is named at once") {
  CHECK_THROWS_WITH(
      read(test::small_config("deepseek_v3")),
      Contains("qk_rope_head_dim: is missing") && Contains("kv_lora_rank: is missing") &&
          Contains("qk_nope_head_dim: is missing") && Contains("v_head_dim: is missing"));
  Json config = v3_config();
  for (const char* key : {"num_experts_per_tok", "moe_intermediate_size"}) config.erase(key);
  CHECK_THROWS_WITH(read(config), Contains("num_experts_per_tok: is missing") &&
                                      Contains("moe_intermediate_size: is missing"));
  const auto refused = [&](const Json& changes, const char* message) {
    INFO(changes);
    CHECK_THROWS_WITH(read(changed(v3_config(), changes)), Contains(message));
  };
  refused({{"num_experts_per_tok", 7}},
          "num_experts_per_tok: must be at most the 6 experts, got 7");
  refused({{"n_group", 4}}, "n_group: must divide n_routed_experts 6, got 4");
  refused({{"topk_group", 4}}, "topk_group: must be at most n_group 3, got 4");
  refused({{"topk_group", 1}, {"num_experts_per_tok", 3}},
          "num_experts_per_tok: must be at most the 2 experts of topk_group 1 groups, got 3");
  refused({{"n_group", 6}}, "n_group: leaves 1 experts a group; a group counts its best 2");
  refused({{"scoring_func", "softmax"}}, "only sigmoid is supported, got \"softmax\"");
  refused({{"topk_method", "greedy"}}, "only noaux_tc is supported");
  refused({{"qk_rope_head_dim", 5}}, "qk_rope_head_dim: must be even, got 5");
  refused({{"moe_layer_freq", 0}}, "moe_layer_freq: must be in [1");
  refused({{"n_routed_experts", 60000}}, "n_routed_experts: 60000 in each of 3 layers are more");
  for (const char* key : {"q_lora_rank", "n_shared_experts", "first_k_dense_replace",
                          "routed_scaling_factor", "n_group", "topk_group"}) {
    Json without = v3_config();
    without.erase(key);
    CHECK_THROWS_WITH(read(without), Contains(std::string(key) + ": is missing"));
  }
  const Json v2 = changed(v3_config(), {{"model_type", "deepseek_v2"}});
  CHECK_THROWS_WITH(read(changed(v2, {{"norm_topk_prob", true}})),
                    Contains("norm_topk_prob: true is not supported"));
  CHECK_THROWS_WITH(read(changed(v2, {{"topk_method", "noaux_tc"}})),
                    Contains("supported are greedy and group_limited_greedy"));
}

TEST_CASE("Which layers have experts") {
  const auto sparse = [](const Json& config) { return sparse_options(read(config)).sparse; };
  CHECK(sparse(v3_config()) == std::vector<bool>{false, true, true});
  CHECK(sparse(changed(v3_config(), {{"first_k_dense_replace", 0}, {"moe_layer_freq", 2}})) ==
        std::vector<bool>{true, false, true});
  CHECK(sparse(changed(v3_config(), {{"n_routed_experts", nullptr}})) ==
        std::vector<bool>{false, false, false});
  Json qwen = test::small_config("qwen3_moe");
  qwen.update({{"num_experts", 4},
               {"num_experts_per_tok", 2},
               {"moe_intermediate_size", 16},
               {"decoder_sparse_step", 2},
               {"num_hidden_layers", 4}});
  CHECK(sparse(qwen) == std::vector<bool>{false, true, false, true});
  CHECK(sparse(changed(qwen, {{"mlp_only_layers", {3}}})) ==
        std::vector<bool>{false, true, false, false});
}

}  // namespace
}  // namespace hone::model
