#include "hone/model/sharing/groups.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <string>

#include "hone/core/error.h"
#include "hone/core/log.h"
#include "hone/io/checkpoint.h"
#include "hone/model/sharing/conversion.h"
#include "model/support.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace hone::model {
namespace {

using Catch::Contains;
using test::small_config;
using test::small_decoder;

Json shared_config(const Json& sharing) {
  Json config = small_config("qwen2");
  config["hone_sharing"] = sharing;
  return config;
}

TEST_CASE("config.json's hone_sharing is read, and its problems named") {
  const auto read = [](const Json& sharing) {
    return DecoderConfig::from_json(shared_config(sharing), "c.json").sharing;
  };
  CHECK(read({{"what", "weights"}, {"layers", {{0, 2}}}}) == LayerGroups{{0, 2}});
  CHECK(read(nullptr).empty());
  CHECK(sharing_json({}).is_null());
  const auto refuses = [&](const Json& sharing, const char* message) {
    CHECK_THROWS_WITH(read(sharing), Contains("c.json") && Contains(message));
  };
  refuses({{"what", "keys"}, {"layers", {{0, 2}}}}, "/hone_sharing/what");
  refuses({{"what", "weights"}}, "/hone_sharing/layers");
  refuses({{"what", "weights"}, {"layers", {{0, 2}}}, {"rank", 2}}, "/hone_sharing/rank");
  refuses({{"what", "weights"}, {"layers", {{0, 3}}}}, "lists of layers below 3, got a list");
  refuses({{"what", "weights"}, {"layers", {{0}}}}, "layers/0: must name two layers or more");
  refuses({{"what", "weights"}, {"layers", {{2, 1}}}}, "layers/0/1: must be above the one before");
  refuses({{"what", "weights"}, {"layers", {{0, 1}, {1, 2}}}}, "layers/1/0: layer 1 is in another");
  Json pruned = shared_config({{"what", "weights"}, {"layers", {{0, 2}}}});
  pruned["hone_pruned"] = {{"layers", {{{"index", 0}}, {{"index", 2}}}}};
  CHECK_THROWS_WITH(DecoderConfig::from_json(pruned, "c"), Contains("a pruned model cannot share"));
}

TEST_CASE("A shared decoder is stored under each layer's names and shares again when loaded") {
  const TemporaryFolder root;
  const Json config = shared_config(nullptr);
  Decoder decoder = small_decoder(config);
  for (const auto& [name, tensor] : decoder->base_tensors()) {
    if (name.ends_with("bias")) tensor.detach().normal_();
  }
  share_weights(decoder, {{0, 2}});
  save_decoder(root.path + "/a", decoder, config);
  const io::Checkpoint stored = io::Checkpoint::open(root.path + "/a");
  CHECK(stored.config()["hone_sharing"] == Json{{"what", "weights"}, {"layers", {{0, 2}}}});
  for (const char* name : {"q_proj.weight", "q_proj.bias", "k_proj.weight", "k_proj.bias"}) {
    const auto of = [&](const char* layer) {
      return stored.load(std::string("model.layers.") + layer + ".self_attn." + name);
    };
    CHECK(of("0").equal(of("2")));
    CHECK_FALSE(of("0").equal(of("1")));
  }
  const auto load = [&](const std::string& name) {
    return load_decoder(io::Checkpoint::open(root.path + "/" + name), at::kCPU, at::kFloat);
  };
  Decoder loaded = load("a");
  CHECK(loaded->config().sharing == LayerGroups{{0, 2}});
  CHECK(nn::numel(*loaded) == nn::numel(*decoder));
  const auto logits = [](Decoder& of) {
    const torch::NoGradGuard no_grad;
    return of->logits(of->hidden(test::random_input({7, 4}, 40)));
  };
  CHECK(logits(loaded).equal(logits(decoder)));

  // A program that does not know the key reads the same model; one that trained it apart is heard.
  NamedTensors tensors = decoder->hf_tensors();
  io::save_checkpoint(root.path + "/plain", config, tensors);
  Decoder plain = load("plain");
  CHECK(plain->config().sharing.empty());
  CHECK(logits(plain).equal(logits(decoder)));
  for (auto& [name, tensor] : tensors) {
    if (name == "model.layers.2.self_attn.k_proj.bias") tensor = tensor + 1;
  }
  io::save_checkpoint(root.path + "/apart", stored.config(), tensors);
  std::string log;
  set_log_sink([&](LogLevel, std::string_view text) { log += text; });
  Decoder apart = load("apart");
  set_log_sink({});
  CHECK_THAT(log, Contains("layers whose q_proj and k_proj differ: each is loaded with its own"));
  CHECK(apart->config().sharing.empty());
  for (const auto& [name, tensor] : apart->hf_tensors()) {
    const auto is = [&](const auto& given) { return given.first == name; };
    CHECK(tensor.equal(std::find_if(tensors.begin(), tensors.end(), is)->second));
  }
  CHECK_FALSE(decoder_config_json(apart, stored.config()).contains("hone_sharing"));
}

}  // namespace
}  // namespace hone::model
