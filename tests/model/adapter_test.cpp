#include "hone/model/adapter.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "hone/core/error.h"
#include "hone/io/adapter.h"
#include "hone/model/pruned/pruning.h"
#include "model/support.h"
#include "support/catch.h"

namespace hone::model {
namespace {

using Catch::Contains;
using test::random_input;
using test::small_config;
using test::small_decoder;
using test::v3_config;

at::Tensor logits(Decoder& decoder) {
  const torch::NoGradGuard no_grad;
  return decoder->logits(decoder->hidden(random_input({5, 6}, 40)));
}

Decoder adapted(const nn::LoraOptions& options, const std::vector<int64_t>& rows = {}) {
  Decoder decoder = small_decoder();
  add_lora(decoder, options, 3, rows);
  const torch::NoGradGuard no_grad;
  torch::manual_seed(6);
  for (auto& [name, tensor] : trainable_parameters(decoder)) tensor.normal_(0, 0.1);
  return decoder;
}

Json changed(Json config, const char* key, Json value) {
  config[key] = std::move(value);
  return config;
}

TEST_CASE("add_lora: default targets are the linear layers of all blocks; the base is frozen") {
  Decoder decoder = small_decoder();
  const at::Tensor before = logits(decoder);
  const at::Tensor state = at::detail::getDefaultCPUGenerator().get_state();
  add_lora(decoder, {.rank = 2}, 3);
  CHECK(at::equal(at::detail::getDefaultCPUGenerator().get_state(), state));
  CHECK(at::equal(logits(decoder), before));
  const NamedTensors trainable = trainable_parameters(decoder);
  CHECK(trainable.size() == 3 * 7 * 2);
  CHECK(trainable.front().first == "model.layers.0.self_attn.q_proj.lora_A.weight");
  for (const auto& [name, tensor] : decoder->hf_tensors()) CHECK_FALSE(tensor.requires_grad());
  CHECK_THROWS_WITH(add_lora(decoder, {}, 3), Contains("has an adapter already"));

  Decoder again = small_decoder();
  add_lora(again, {.rank = 2}, 3);
  CHECK(at::equal(trainable_parameters(again)[0].second, trainable[0].second));
}

TEST_CASE("add_lora: names and patterns that fit nothing are named") {
  const auto add = [](const nn::LoraOptions& options, const std::vector<int64_t>& rows = {}) {
    Decoder decoder = small_decoder();
    add_lora(decoder, options, 1, rows);
  };
  CHECK_THROWS_WITH(add({.targets = {"q_proj", "c_attn", "mlp"}}),
                    Contains("c_attn matches no linear") && Contains("target mlp matches"));
  CHECK_THROWS_WITH(add({.targets = {"lm_head"}}),
                    Contains("matches lm_head, which is no linear layer"));
  CHECK_THROWS_WITH(add({.target_regex = "q_proj"}), Contains("matches no linear layer"));
  CHECK_THROWS_WITH(add({.target_regex = "("}), Contains("pattern \"(\""));
  CHECK_THROWS_WITH(add({.modules_to_save = {"wte"}}), Contains("modules_to_save wte"));
  CHECK_THROWS_WITH(add({.rank_pattern = {{"q_proj", 2}, {"self_attn.q_proj", 4}}}),
                    Contains("both match"));
  CHECK_THROWS_WITH(add({.targets = {"v_proj"},
                         .rank_pattern = {{"q_proj", 2}},
                         .alpha_pattern = {{"v_prj", 2}}}),
                    Contains("rank_pattern q_proj matches no adapted layer") &&
                        Contains("alpha_pattern v_prj matches"));
  CHECK_NOTHROW(add({.rank_pattern = {{"layers\\.1\\..*q_proj", 2}}}));
  CHECK_THROWS_WITH(add({.modules_to_save = {"lm_head"}}, {1}), Contains("lm_head.weight"));
  CHECK_THROWS_WITH(add({}, {40}), Contains("row 40"));
  Decoder tied = small_decoder(changed(small_config(), "tie_word_embeddings", true));
  CHECK_THROWS_WITH(add_lora(tied, {.modules_to_save = {"embed_tokens"}}, 1), Contains("tied"));
}

TEST_CASE("adapter_files: names of a layer that was cut since are passed over") {
  Decoder decoder = small_decoder();
  add_lora(decoder,
           {.targets = {"layers.0.self_attn.q_proj", "v_proj"},
            .rank_pattern = {{"layers\\.0\\..*v_proj", 2}}},
           1);
  cut_to(decoder, {{1}, {2}});
  const io::AdapterFiles files = adapter_files(decoder, "base");
  CHECK(files.tensors.size() == 4);
}

TEST_CASE("add_lora: a pattern that backtracks without end is stopped") {
  Decoder decoder = small_decoder();
  CHECK_THROWS_WITH(add_lora(decoder, {.target_regex = "((.*)*)*[!?]"}, 1), Contains("limit"));
}

TEST_CASE("adapter_files and load_adapter: there and back, and merged") {
  const std::vector<nn::LoraOptions> kinds = {
      {.rank = 2},
      {.rank = 2, .dropout = 0.2, .targets = {"q_proj"}, .rslora = true},
      {.rank = 2, .dora = true, .modules_to_save = {"norm"}},
      {.rank = 2, .target_regex = ".*mlp.*", .rank_pattern = {{"up_proj", 3}}}};
  for (const nn::LoraOptions& options : kinds) {
    Decoder decoder = adapted(options, {7, 3});
    decoder->eval();
    const at::Tensor wanted = logits(decoder);
    const io::AdapterFiles files = adapter_files(decoder, "base");
    Decoder loaded = small_decoder();
    CHECK_FALSE(at::allclose(logits(loaded), wanted, 1e-3, 1e-3));
    load_adapter(loaded, files);
    loaded->eval();
    CHECK(at::equal(logits(loaded), wanted));
    CHECK(adapter_files(loaded, "base").config == files.config);

    merge_lora(loaded);
    CHECK(at::allclose(logits(loaded), wanted, 1e-5, 1e-5));
    CHECK(loaded->hf_tensors().size() == loaded->named_parameters().size());
    for (const at::Tensor& parameter : loaded->parameters()) CHECK(parameter.requires_grad());
    merge_lora(loaded);  // nothing left to do
  }
  CHECK_THROWS_WITH(adapter_files(small_decoder(), "base"), Contains("has no adapter"));
}

TEST_CASE("load_adapter: options that are not supported are named at once") {
  const io::AdapterFiles good = adapter_files(adapted({.rank = 2, .targets = {"q_proj"}}), "base");
  const auto load = [&](const std::vector<std::pair<const char*, Json>>& changes) {
    io::AdapterFiles files = good;
    for (const auto& [key, value] : changes) files.config[key] = value;
    Decoder decoder = small_decoder();
    load_adapter(decoder, files);
  };
  CHECK_NOTHROW(load({{"loftq_config", Json::object()}, {"auto_mapping", {{"a", 1}}}}));
  CHECK_THROWS_WITH(load({{"layers_to_transform", {0}}, {"lora_bias", true}, {"bias", "all"}}),
                    Contains("layers_to_transform: is not supported") &&
                        Contains("lora_bias: is not supported") && Contains("bias: trained"));
  CHECK_THROWS_WITH(load({{"init_lora_weights", "pissa"}}),
                    Contains("init_lora_weights: \"pissa\""));
  CHECK_THROWS_WITH(load({{"peft_type", "IA3"}}), Contains("only LORA"));
  CHECK_THROWS_WITH(load({{"task_type", "SEQ_CLS"}}), Contains("only CAUSAL_LM"));
  CHECK_THROWS_WITH(load({{"target_modules", nullptr}}), Contains("target_modules: is missing"));
  CHECK_THROWS_WITH(load({{"target_modules", {1}}}), Contains("expected a list of names"));
  CHECK_THROWS_WITH(load({{"rank_pattern", {{"q_proj", 0}}}}), Contains("rank_pattern/q_proj"));
  CHECK_THROWS_WITH(load({{"trainable_token_indices", {{"wte", {1}}}}}), Contains("wte"));
  CHECK_THROWS_WITH(load({{"trainable_token_indices", {"a"}}}),
                    Contains("trainable_token_indices/0: expected integer, got \"a\""));
}

TEST_CASE("load_adapter: tensors that are missing, unexpected or misshapen are named at once") {
  io::AdapterFiles files = adapter_files(adapted({.rank = 2, .targets = {"q_proj"}}), "base");
  const std::string layer = "base_model.model.model.layers.";
  files.tensors.erase(layer + "0.self_attn.q_proj.lora_A.weight");
  files.tensors[layer + "1.self_attn.q_proj.lora_B.weight"] = at::zeros({31, 2});
  files.tensors[layer + "2.self_attn.v_proj.lora_B.weight"] = at::zeros({16, 2});
  Decoder decoder = small_decoder();
  CHECK_THROWS_WITH(load_adapter(decoder, files),
                    Contains("0.self_attn.q_proj.lora_A.weight is missing") &&
                        Contains("lora_B.weight must be [32, 2], got [31, 2]") &&
                        Contains("v_proj.lora_B.weight belongs to no module"));
}

TEST_CASE("Adapters on experts: there and back, and merged; linear layers only by their names") {
  for (const auto& [parameters, tensors] :
       {std::pair<std::vector<std::string>, size_t>{{"gate_up_proj"}, 2},
        {{"mlp.experts.gate_up_proj", "experts.down_proj"}, 4}}) {
    Decoder decoder = small_decoder(v3_config());
    add_lora(decoder, {.rank = 2, .target_parameters = parameters}, 3);
    CHECK(trainable_parameters(decoder).size() == 2 * tensors);  // of two layers with experts
    {
      const torch::NoGradGuard no_grad;
      for (auto& [name, tensor] : trainable_parameters(decoder)) tensor.normal_(0, 0.1);
    }
    const at::Tensor wanted = logits(decoder);
    const io::AdapterFiles files = adapter_files(decoder, "base");
    CHECK(files.config.at("target_modules") == Json::array());
    CHECK(files.config.at("target_parameters") == parameters);
    Decoder loaded = small_decoder(v3_config());
    CHECK_FALSE(at::allclose(logits(loaded), wanted, 1e-3, 1e-3));
    load_adapter(loaded, files);
    CHECK(at::equal(logits(loaded), wanted));
    merge_lora(loaded);
    CHECK(at::allclose(logits(loaded), wanted, 1e-5, 1e-5));
    drop_lora(decoder);
    Decoder plain = small_decoder(v3_config());
    CHECK(at::equal(logits(decoder), logits(plain)));
  }
  Decoder both = small_decoder(v3_config());
  add_lora(both,
           {.targets = {"o_proj"},
            .target_parameters = {"layers.2.mlp.experts.down_proj"},
            .rank_pattern = {{"experts.down_proj", 3}}},
           3);
  const NamedTensors trained = trainable_parameters(both);
  CHECK(trained.size() == 3 * 2 + 2);
  CHECK(trained.back().first == "model.layers.2.mlp.experts.lora_B.weight");
  CHECK(trained.back().second.size(1) == 6 * 3);
}

TEST_CASE("frozen_base: the decoder without its adapter, in the same memory") {
  for (const Json& config : {small_config(), v3_config()}) {
    Decoder decoder = small_decoder(config);
    decoder->eval();
    const at::Tensor plain = logits(decoder);
    add_lora(decoder, {.rank = 2, .dora = config == small_config()}, 3);
    Decoder base = frozen_base(decoder);
    const torch::NoGradGuard no_grad;
    for (auto& [name, tensor] : trainable_parameters(decoder)) tensor.add_(0.1);
    CHECK_FALSE(at::equal(logits(decoder), plain));
    CHECK(at::equal(logits(base), plain));
    CHECK_FALSE(base->is_training());
    CHECK(trainable_parameters(base).empty());
    CHECK(base->embed_tokens->weight.data_ptr() == decoder->embed_tokens->weight.data_ptr());
    for (nn::ModuleTensor& own : decoder->tensors()) {
      if (own.role == nn::Role::kBuffer) own.tensor.add_(1);  // as a router's bias is moved
    }
    CHECK(at::equal(logits(base), plain));
  }
  Decoder saved = adapted({.modules_to_save = {"lm_head"}});
  CHECK_THROWS_WITH(frozen_base(saved), Contains("frozen_base: the adapter trains modules"));
  Decoder grown = adapted({}, {3});
  CHECK_THROWS_WITH(frozen_base(grown), Contains("rows of a grown vocabulary"));
}

TEST_CASE("Adapters on experts that do not fit are named") {
  Decoder decoder = small_decoder(v3_config());
  CHECK_THROWS_WITH(add_lora(decoder, {.target_parameters = {"experts.up_proj", "o_proj"}}, 1),
                    Contains("target_parameters experts.up_proj matches no weights of experts") &&
                        Contains("target_parameters o_proj"));
  Decoder dense = small_decoder();
  CHECK_THROWS_WITH(add_lora(dense, {.target_parameters = {"down_proj"}}, 1),
                    Contains("down_proj matches no weights"));
  add_lora(decoder, {.rank = 2, .target_parameters = {"gate_up_proj", "down_proj"}}, 1);
  const io::AdapterFiles good = adapter_files(decoder, "base");
  const auto load = [](const io::AdapterFiles& files) {
    Decoder plain = small_decoder(v3_config());
    load_adapter(plain, files);
  };
  const std::string experts = "base_model.model.model.layers.1.mlp.experts.";
  io::AdapterFiles files = good;
  files.tensors[experts + "lora_A.weight"] = at::zeros({2 * 5, 20});  // of five experts
  files.tensors.erase(experts + "base_layer.lora_B.weight");
  CHECK_THROWS_WITH(load(files),
                    Contains(experts + "lora_A.weight must be [12, 20], got [10, 20]") &&
                        Contains("base_layer.lora_B.weight is missing"));
  files = good;
  files.config["lora_dropout"] = 0.1;
  CHECK_THROWS_WITH(load(files), Contains("neither DoRA nor dropout"));
  files.config["target_modules"] = "all-linear";
  CHECK_THROWS_WITH(load(files), Contains("all-linear beside target_parameters"));
}

}  // namespace
}  // namespace hone::model
