#include <torch/types.h>

#include <filesystem>

#include "hone/core/error.h"
#include "hone/io/adapter.h"
#include "hone/io/checkpoint.h"
#include "hone/model/adapter.h"
#include "hone/model/pruned/export.h"
#include "hone/model/pruned/pruning.h"
#include "hone/nn/attention.h"
#include "model/support.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace hone::model {
namespace {

using Catch::Contains;
using test::small_config;
using test::small_decoder;

/// 3 layers of 4 heads in 2 groups and 48 channels, cut to `pruned`.
Decoder pruned_decoder(const std::vector<PrunedLayer>& pruned, const char* family = "qwen2") {
  Decoder decoder = small_decoder(small_config(family));
  cut_to(decoder, pruned);
  return decoder;
}

/// The config.json of the export.
Json exported(const Decoder& decoder, const std::string& folder, ExportForm wanted) {
  CHECK(export_form(decoder) == wanted);
  Json config = small_config("qwen2");
  config["model_type"] = enum_name(decoder->config().model_type);
  config["layer_types"] = std::vector<std::string>(3, "full_attention");
  CHECK(export_pruned(folder, folder + "-compact", decoder, config) == wanted);
  CHECK(std::filesystem::exists(folder + "-compact") == (wanted == ExportForm::kZeroFilled));
  return io::Checkpoint::open(folder).config();
}

TEST_CASE("export_pruned: the direct form where a config can say the sizes") {
  const TemporaryFolder root;
  const Json config = exported(pruned_decoder({{0, {1, 2}, {0, 1, 5}}, {2, {0, 3}, {2, 40, 47}}}),
                               root.path + "/even", ExportForm::kDirect);
  CHECK(config["num_hidden_layers"] == 2);
  CHECK(config["num_attention_heads"] == 2);
  CHECK(config["num_key_value_heads"] == 2);
  CHECK(config["head_dim"] == 8);
  CHECK(config["intermediate_size"] == 3);
  CHECK(config["layer_types"].size() == 2);
  CHECK_FALSE(config.contains("hone_pruned"));
  const Json one_group = exported(pruned_decoder({{0, {0, 1}, {}}, {1, {2, 3}, {}}}),
                                  root.path + "/group", ExportForm::kDirect);
  CHECK(one_group["num_attention_heads"] == 2);
  CHECK(one_group["num_key_value_heads"] == 1);
  CHECK(one_group["intermediate_size"] == 48);
}

TEST_CASE("export_pruned: the zero-filled form has the sizes of the widest layers") {
  const TemporaryFolder root;
  // One group of two heads, and two groups of one: two groups of two. 3 and 2 channels: 3.
  const Decoder decoder = pruned_decoder({{0, {0, 1}, {0, 1, 5}}, {2, {0, 3}, {2, 40}}});
  const std::string folder = root.path + "/uneven";
  const Json config = exported(decoder, folder, ExportForm::kZeroFilled);
  CHECK(config["num_attention_heads"] == 4);
  CHECK(config["num_key_value_heads"] == 2);
  CHECK(config["intermediate_size"] == 3);
  const auto checkpoint = io::Checkpoint::open(folder);
  const at::Tensor q = checkpoint.load("model.layers.1.self_attn.q_proj.weight");
  const at::Tensor own = decoder->layers[1]->self_attn->as<nn::AttentionImpl>()->q_proj->weight;
  CHECK(at::equal(q.slice(0, 0, 8), own.slice(0, 0, 8)));
  CHECK(at::equal(q.slice(0, 16, 24), own.slice(0, 8, 16)));
  CHECK(q.slice(0, 8, 16).count_nonzero().item<int64_t>() == 0);
  const at::Tensor down = checkpoint.load("model.layers.1.mlp.down_proj.weight");
  CHECK(down.select(1, 2).count_nonzero().item<int64_t>() == 0);
  const Json compact = io::Checkpoint::open(folder + "-compact").config();
  CHECK(compact["hone_pruned"] == pruned_json(decoder->config().pruned));
}

TEST_CASE("export_pruned: a llama's heads divide its width, as transformers wants it") {
  const TemporaryFolder root;
  Json config = small_config();
  config["num_key_value_heads"] = 4;
  for (const char* family : {"llama", "qwen3"}) {
    config["model_type"] = family;
    Decoder decoder = small_decoder(config);
    cut_to(decoder, {{0, {0, 1, 2}, {}}, {1, {1, 2, 3}, {}}});
    const bool llama = family == std::string("llama");
    CHECK(exported(decoder, root.path + "/" + family,
                   llama ? ExportForm::kZeroFilled : ExportForm::kDirect)["num_attention_heads"] ==
          (llama ? 4 : 3));
  }
}

TEST_CASE("export_pruned: zero-filled heads need a norm that stays a number") {
  const TemporaryFolder root;
  Json config = small_config("qwen3");
  config["rms_norm_eps"] = 0;
  Decoder decoder = small_decoder(config);
  CHECK_NOTHROW(export_pruned(root.path + "/a", "", decoder, config));
  cut_to(decoder, {{0, {0}, {}}, {1, {}, {}}});
  CHECK_THROWS_WITH(export_pruned(root.path + "/a", root.path + "/b", decoder, config),
                    Contains("rms_norm_eps 0"));
}

TEST_CASE("exported_adapter: names of the export, patterns and saved modules written out") {
  Decoder decoder = pruned_decoder({{0, {0, 1}, {}}, {2, {0, 3}, {}}});
  add_lora(decoder,
           {.rank = 2,
            .targets = {"q_proj", "layers.2.mlp.up_proj"},
            .modules_to_save = {"2.mlp.gate_proj"},
            .rank_pattern = {{R"(layers\.2\..*)", 3}},
            .alpha_pattern = {{"q_proj", 4}}},
           1, {7});
  const io::AdapterFiles files = exported_adapter(decoder, "base");
  CHECK(files.config["target_modules"] == Json{"model.layers.0.self_attn.q_proj",
                                               "model.layers.1.self_attn.q_proj",
                                               "model.layers.1.mlp.up_proj"});
  CHECK(files.config["modules_to_save"] == Json{"model.layers.1.mlp.gate_proj"});
  CHECK(files.config["rank_pattern"] == Json{{R"(model\.layers\.1\.mlp\.up_proj)", 3},
                                             {R"(model\.layers\.1\.self_attn\.q_proj)", 3}});
  CHECK(files.config["alpha_pattern"].size() == 2);
  CHECK(files.config["trainable_token_indices"] == Json{{"embed_tokens", {7}}, {"lm_head", {7}}});
  const std::string first = "base_model.model.model.layers.1.self_attn.q_proj.";
  CHECK(files.tensors.at(first + "lora_B.weight").sizes() == at::IntArrayRef({32, 3}));
  CHECK(files.tensors.at(first + "lora_A.weight").sizes() == at::IntArrayRef({3, 32}));
  CHECK(files.tensors.count("base_model.model.model.embed_tokens.token_adapter."
                            "trainable_tokens_delta") == 1);
}

TEST_CASE("exported_adapter: DoRA on rows that are zero-filled is an error") {
  const nn::LoraOptions dora = {.rank = 2, .targets = {"q_proj"}, .dora = true};
  Decoder uneven = pruned_decoder({{0, {0, 1, 2}, {}}, {1, {0}, {}}});
  add_lora(uneven, dora, 1);
  CHECK_THROWS_WITH(exported_adapter(uneven, "base"), Contains("layers.0.self_attn.q_proj's rows"));
  Decoder even = pruned_decoder({{0, {0, 2}, {}}, {1, {1, 3}, {0, 1}}});  // channels do not matter
  add_lora(even, dora, 1);
  CHECK(exported_adapter(even, "base").tensors.size() == 2 * 3);
  CHECK_THROWS_WITH(exported_adapter(small_decoder(), "base"), Contains("has no adapter"));
}

}  // namespace
}  // namespace hone::model
