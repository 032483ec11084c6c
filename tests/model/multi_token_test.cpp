#include "hone/model/multi_token.h"

#include <torch/types.h>

#include "hone/core/error.h"
#include "hone/core/log.h"
#include "hone/io/checkpoint.h"
#include "hone/model/cost.h"
#include "model/support.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace hone::model {
namespace {

using Catch::Contains;
using test::random_input;

/// DeepSeek-V3 with layers for multi-token prediction, numbered from 3.
Json config_with(int64_t layers) {
  Json config = test::v3_config();
  config["num_nextn_predict_layers"] = layers;
  return config;
}

Decoder decoder_with(int64_t layers) {
  DecoderConfig config = DecoderConfig::from_json(config_with(layers), "config.json");
  join_multi_token(config);
  Decoder decoder = make_decoder(config, at::kCPU, at::kFloat);
  decoder->initialise(1);
  return decoder;
}

Decoder load(const std::string& folder, bool multi_token = true) {
  return load_decoder(io::Checkpoint::open(folder), at::kCPU, at::kFloat,
                      {.multi_token = multi_token});
}

/// The model's tensors by name, of its file.
std::map<std::string, at::Tensor> tensors_of(const std::string& folder) {
  std::map<std::string, at::Tensor> tensors;
  const io::Checkpoint checkpoint = io::Checkpoint::open(folder);
  for (const std::string& name : checkpoint.names()) tensors[name] = checkpoint.load(name);
  return tensors;
}

TEST_CASE("Layers for multi-token prediction begin, are saved and read with the model") {
  const TemporaryFolder root;
  Decoder decoder = decoder_with(2);
  REQUIRE(decoder->multi_token.size() == 2);
  CHECK(decoder->layers.size() == 3);
  save_decoder(root.path + "/saved", decoder, config_with(2));
  const auto saved = tensors_of(root.path + "/saved");
  CHECK(saved.at("model.layers.3.enorm.weight").eq(1).all().item<bool>());
  CHECK(saved.at("model.layers.4.eh_proj.weight").sizes() == at::IntArrayRef({32, 64}));
  CHECK(saved.at("model.layers.4.shared_head.norm.weight").sizes() == at::IntArrayRef({32}));
  CHECK(saved.contains("model.layers.4.mlp.experts.5.up_proj.weight"));
  CHECK(at::equal(saved.at("model.layers.3.embed_tokens.weight"),
                  saved.at("model.embed_tokens.weight")));
  CHECK(at::equal(saved.at("model.layers.3.shared_head.head.weight"), saved.at("lm_head.weight")));
  save_decoder(root.path + "/again", load(root.path + "/saved"), config_with(2));
  const auto again = tensors_of(root.path + "/again");
  CHECK(again.size() == saved.size());
  for (const auto& [name, tensor] : saved) CHECK(at::equal(again.at(name), tensor));
  // Whoever does not train them carries the same bytes.
  Decoder kept = load(root.path + "/saved", /*multi_token=*/false);
  CHECK(kept->multi_token.empty());
  save_decoder(root.path + "/kept", kept, config_with(2));
  for (const auto& [name, tensor] : tensors_of(root.path + "/kept")) {
    CHECK(at::equal(saved.at(name), tensor));
  }
}

TEST_CASE("Scoring and caches do without layers for multi-token prediction") {
  Decoder decoder = decoder_with(1), plain = test::small_decoder(config_with(1));
  const torch::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> own;
  for (const auto& [name, tensor] : decoder->base_tensors()) own[name] = tensor;
  for (const auto& [name, tensor] : plain->base_tensors()) tensor.copy_(own.at(name));
  const DecoderInput input = random_input({9, 4}, 40);
  decoder->eval();
  plain->eval();
  CHECK(at::equal(decoder->hidden(input), plain->hidden(input)));
  CHECK(decoder->cache_shapes().size() == plain->cache_shapes().size());
  const Cost with(decoder), without(plain);
  CHECK(with.token_flops(7) == without.token_flops(7));
  CHECK(with.step_flops(10, 10, false, 0) > without.step_flops(10, 10, false, 0));
  int64_t layer = 0;
  for (const auto& [name, tensor] : own) {
    if (name.starts_with("model.layers.3.") && !name.ends_with("bias")) layer += tensor.numel();
  }
  CHECK(with.parameters() - without.parameters() == layer);
  // Four of six experts are idle, of three matrices of 20 x 32 each.
  CHECK(with.active_parameters() - without.active_parameters() == layer - 4 * 3 * 20 * 32);
}

TEST_CASE("Copies of embedding and head are written as those are; others are told of") {
  const TemporaryFolder root;
  NamedTensors tensors = decoder_with(1)->hf_tensors();
  std::erase_if(tensors, [](const auto& named) {
    return named.first == "model.layers.3.shared_head.head.weight";
  });
  for (auto& [name, tensor] : tensors) {
    if (name == "model.layers.3.embed_tokens.weight") tensor = tensor + 1;
  }
  io::save_checkpoint(root.path + "/other", config_with(1), tensors);
  std::string log;
  set_log_sink([&](LogLevel, std::string_view text) { log += text; });
  Decoder decoder = load(root.path + "/other");
  set_log_sink({});
  CHECK_THAT(log, Contains("model.layers.3.embed_tokens.weight differs from the model's own"));
  {
    const torch::NoGradGuard no_grad;
    decoder->embed_tokens->weight.mul_(2);
  }
  save_decoder(root.path + "/saved", decoder, config_with(1));
  const auto saved = tensors_of(root.path + "/saved");
  CHECK(saved.size() == tensors.size());  // no copy of the head came, and none goes
  CHECK(at::equal(saved.at("model.layers.3.embed_tokens.weight"), decoder->embed_tokens->weight));
}

TEST_CASE("A layer for multi-token prediction that is not whole cannot be trained") {
  const TemporaryFolder root;
  NamedTensors tensors = decoder_with(1)->hf_tensors();
  std::erase_if(tensors, [](const auto& named) {
    return named.first == "model.layers.3.hnorm.weight" ||
           named.first == "model.layers.3.mlp.experts.2.down_proj.weight";
  });
  io::save_checkpoint(root.path + "/part", config_with(1), tensors);
  CHECK_THROWS_WITH(load(root.path + "/part"),
                    Contains("tensor model.layers.3.hnorm.weight is missing: the layer for "
                             "multi-token prediction cannot be trained without it") &&
                        Contains("model.layers.3.mlp.experts.2.down_proj.weight is missing"));
  CHECK_NOTHROW(load(root.path + "/part", /*multi_token=*/false));
  CHECK_THROWS_WITH(decoder_with(0),
                    Contains("no layers for multi-token prediction to train: deepseek_v3, where"));
  DecoderConfig llama = DecoderConfig::from_json(test::small_config(), "config.json");
  CHECK_THROWS_WITH(join_multi_token(llama), Contains("no layers for multi-token prediction"));
}

TEST_CASE("A recomputed layer for multi-token prediction gives the same gradients") {
  std::vector<at::Tensor> gradients[2];
  for (const int64_t every : {0, 1}) {
    Decoder decoder = decoder_with(1);
    decoder->set_checkpointing(every);
    const DecoderInput input = random_input({9, 4}, 40);
    decoder->further(0, decoder->hidden(input), input).square().sum().backward();
    for (const auto& parameter : decoder->parameters()) {
      if (parameter.grad().defined()) gradients[every].push_back(parameter.grad());
    }
  }
  REQUIRE(gradients[0].size() == gradients[1].size());
  for (size_t i = 0; i < gradients[0].size(); ++i) {
    CHECK(at::equal(gradients[0][i], gradients[1][i]));
  }
}

}  // namespace
}  // namespace hone::model
