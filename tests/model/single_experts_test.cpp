#include "hone/model/detail/single_experts.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "hone/core/error.h"
#include "hone/io/adapter.h"
#include "hone/model/adapter.h"
#include "hone/model/detail/peft_config.h"
#include "model/support.h"
#include "support/catch.h"

namespace hone::model {
namespace {

using Catch::Contains;
using test::random_input;
using test::small_decoder;
using test::v3_config;

constexpr int64_t kExperts = 6, kWidth = 32, kHidden = 20;

at::Tensor logits(Decoder& decoder) {
  const torch::NoGradGuard no_grad;
  return decoder->logits(decoder->hidden(random_input({5, 6}, 40)));
}

std::string name_of(int64_t layer, int64_t expert, const std::string& projection, char factor) {
  return fmt::format("base_model.model.model.layers.{}.mlp.experts.{}.{}.lora_{}.weight", layer,
                     expert, projection, factor);
}

Json config_of(const nn::LoraOptions& options) {
  return detail::peft_config(options, {}, nullptr, "base");
}

/// PEFT's files beside transformers 4: an adapter on each expert, the dense MLP and the shared one.
io::AdapterFiles single(const nn::LoraOptions& options) {
  io::AdapterFiles files{config_of(options), {}};
  torch::manual_seed(8);
  const auto add = [&](const std::string& module, const std::string& target, int64_t hidden) {
    const bool down = target == "down_proj";
    const std::string name = "base_model.model.model.layers." + module + "." + target;
    files.tensors[name + ".lora_A.weight"] = at::randn({options.rank, down ? hidden : kWidth}) / 5;
    files.tensors[name + ".lora_B.weight"] = at::randn({down ? kWidth : hidden, options.rank}) / 5;
  };
  for (const std::string& target : options.targets) {
    add("0.mlp", target, 48);
    for (const int64_t layer : {1, 2}) {
      add(fmt::format("{}.mlp.shared_experts", layer), target, kHidden);
      for (int64_t e = 0; e < kExperts; ++e) {
        add(fmt::format("{}.mlp.experts.{}", layer, e), target, kHidden);
      }
    }
  }
  return files;
}

/// The base with that adapter worked into its weights by hand.
Decoder worked_in(const io::AdapterFiles& files, double scale) {
  Decoder decoder = small_decoder(v3_config());
  std::map<std::string, at::Tensor> weights;
  for (const auto& [name, tensor] : decoder->hf_tensors()) weights[name] = tensor;
  const torch::NoGradGuard no_grad;
  for (const auto& [name, a] : files.tensors) {
    const size_t end = name.find(".lora_A");
    if (end == name.npos) continue;
    const at::Tensor b = files.tensors.at(name.substr(0, end) + ".lora_B.weight");
    weights.at(name.substr(17, end - 17) + ".weight").add_(at::mm(b, a), scale);
  }
  return decoder;
}

TEST_CASE("An adapter on each expert becomes one on all, and computes the same") {
  for (const bool rslora : {false, true}) {
    const nn::LoraOptions options = {
        .rank = 2, .alpha = 6, .targets = {"down_proj", "gate_proj", "up_proj"}, .rslora = rslora};
    const io::AdapterFiles files = single(options);
    Decoder wanted = worked_in(files, rslora ? 6 / std::sqrt(2.0) : 3);
    Decoder decoder = small_decoder(v3_config());
    load_adapter(decoder, files);
    // Sums of products in another order.
    CHECK(at::allclose(logits(decoder), logits(wanted), 1e-5, 1e-6));
    const nn::LoraOptions& now = *decoder->adapter();
    CHECK(now.target_parameters ==
          std::vector<std::string>{"experts.gate_up_proj", "experts.down_proj"});
    CHECK(now.rank_pattern == std::map<std::string, int64_t>{{"experts\\.gate_up_proj", 4}});
    CHECK(now.targets.size() == 9);  // of the dense MLP and two shared ones
    // It is written as PEFT writes it beside transformers 5, and read again.
    const io::AdapterFiles written = adapter_files(decoder, "base");
    CHECK(written.tensors.contains(
        "base_model.model.model.layers.1.mlp.experts.base_layer.lora_A.weight"));
    Decoder again = small_decoder(v3_config());
    load_adapter(again, written);
    CHECK(logits(again).equal(logits(decoder)));

    std::vector<std::string> names;
    for (const auto& [name, tensor] : files.tensors) names.push_back(name);
    CHECK(adapter_shape(files.config, names).options.target_parameters == now.target_parameters);
  }
}

TEST_CASE("down_proj of each expert alone; others without experts stay as they are") {
  const io::AdapterFiles files = single({.rank = 2, .targets = {"down_proj"}});
  Decoder decoder = small_decoder(v3_config());
  load_adapter(decoder, files);
  Decoder wanted = worked_in(files, 8);
  CHECK(at::allclose(logits(decoder), logits(wanted), 1e-5, 1e-6));
  CHECK(decoder->adapter()->rank_pattern.empty());
  const Json config = config_of({.targets = {"q_proj"}});
  CHECK(detail::stacked_config(config, {"base_model.model.model.layers.0.q_proj.lora_A.weight"}) ==
        config);
}

TEST_CASE("Adapters of single experts that do not fit are named") {
  const nn::LoraOptions options = {.rank = 2, .targets = {"down_proj", "gate_proj", "up_proj"}};
  const io::AdapterFiles good = single(options);
  const auto load = [](const io::AdapterFiles& files) {
    Decoder decoder = small_decoder(v3_config());
    load_adapter(decoder, files);
  };
  io::AdapterFiles files = good;
  files.tensors.erase(name_of(1, 3, "gate_proj", 'A'));
  files.tensors[name_of(2, 4, "down_proj", 'B')] = at::zeros({kWidth, 3});
  files.tensors[name_of(2, 1LL << 60, "up_proj", 'A')] = at::zeros({2, kWidth});
  CHECK_THROWS_WITH(load(files),
                    Contains(name_of(1, 3, "gate_proj", 'A') + " is missing") &&
                        Contains(name_of(2, 4, "down_proj", 'B') +
                                 " must be [32, 2], as that of expert 0, got [32, 3]") &&
                        Contains(name_of(2, 6, "up_proj", 'A') + " is missing"));
  files = good;
  for (const char factor : {'A', 'B'}) {
    for (int64_t e = 0; e < kExperts; ++e) files.tensors.erase(name_of(1, e, "up_proj", factor));
  }
  CHECK_THROWS_WITH(load(files), Contains("layers.1.mlp.experts must have up_proj.lora_B.weight"));
  CHECK_THROWS_WITH(load(single({.rank = 2, .targets = {"gate_proj"}})),
                    Contains("gate_proj or up_proj alone"));
  files = good;  // an expert too many in each layer
  for (const auto& [name, tensor] : good.tensors) {
    const size_t at = name.find(".experts.5.");
    if (at == name.npos) continue;
    files.tensors[name.substr(0, at) + ".experts.6." + name.substr(at + 11)] = tensor;
  }
  CHECK_THROWS_WITH(load(files),
                    Contains("layers.1.mlp.experts.lora_A.weight must be [12, 20], got [14, 20]"));
  files = good;
  files.config["alpha_pattern"] = {{"experts\\.3\\.down_proj", 5}};
  CHECK_THROWS_WITH(load(files), Contains("different ranks or alphas"));
  files = good;
  files.tensors[name_of(1, 0, "gate", 'A')] = at::zeros({2, kWidth});
  CHECK_THROWS_WITH(load(files), Contains("experts.0.gate"));
}

}  // namespace
}  // namespace hone::model
