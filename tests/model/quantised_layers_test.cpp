#include "hone/model/quantised_layers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/io/checkpoint.h"
#include "hone/model/adapter.h"
#include "hone/model/checkpoint.h"
#include "hone/model/cost.h"
#include "hone/model/memory.h"
#include "hone/model/pruned/pruning.h"
#include "model/support.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace hone::model {
namespace {

using Catch::Contains;
using test::small_config;
using test::small_decoder;
using test::v3_config;

/// Codes of 8 bits for weights and inputs, of 8 and of 4 for weights alone.
const std::vector<nn::QuantisationSpec> kSpecs = {
    {},
    {.weight = {.packed = true}, .inputs = {.rounds = false}},
    {.weight = {.bits = 4, .group = 8, .packed = true}, .inputs = {.rounds = false}},
};

Decoder quantised_decoder(const nn::QuantisationSpec& spec, std::vector<std::string> ignore = {},
                          const Json& config = small_config()) {
  Decoder decoder = small_decoder(config);
  quantise_decoder(*decoder, {.spec = spec, .ignore = std::move(ignore)});
  return decoder;
}

at::Tensor hidden(Decoder& decoder) {
  const at::NoGradGuard no_grad;
  return decoder->hidden(test::random_input({5, 3}, decoder->config().vocab_size));
}

/// A folder with a small quantised model.
struct Folder : TemporaryFolder {
  explicit Folder(const Decoder& decoder, const Json& config = small_config()) {
    save_decoder(path + "/model", decoder, config);
  }
  io::Checkpoint checkpoint() const { return io::Checkpoint::open(path + "/model"); }
  Decoder load(const LoadOptions& options = {}) const {
    return load_decoder(checkpoint(), at::kCPU, at::kFloat, options);
  }
  /// The folder again, changed, with the message that opening it gives.
  std::string broken(const std::function<void(Json&, NamedTensors&)>& change) const {
    const io::Checkpoint whole = checkpoint();
    Json config = whole.config();
    NamedTensors tensors;
    for (const std::string& name : whole.names()) tensors.emplace_back(name, whole.load(name));
    change(config, tensors);
    io::save_checkpoint(path + "/broken", config, tensors);
    try {
      load_decoder(io::Checkpoint::open(path + "/broken"), at::kCPU, at::kFloat);
    } catch (const IoError& error) {
      return error.what();
    }
    return "";
  }
};

TEST_CASE("quantise_decoder: saved and loaded again it computes the same, to the bit") {
  for (const nn::QuantisationSpec& spec : kSpecs) {
    INFO(spec.weight.bits << " bits, packed " << spec.weight.packed);
    Decoder decoder =
        quantised_decoder(spec, {"re:.*\\.0\\.mlp", "model.layers.1.self_attn.q_proj"});
    const Folder folder(decoder);
    Decoder again = folder.load();
    CHECK(at::equal(hidden(again), hidden(decoder)));
    CHECK(again->config().quantised->spec.weight == spec.weight);
    const auto tensors = again->hf_tensors();
    const auto saved = decoder->hf_tensors();
    REQUIRE(tensors.size() == saved.size());
    for (size_t i = 0; i < tensors.size(); ++i)
      CHECK(at::equal(tensors[i].second, saved[i].second));
  }
}

TEST_CASE("quantise_decoder: files and config.json are as compressed-tensors has them") {
  Decoder decoder = quantised_decoder(kSpecs[2], {"re:.*down_proj"});
  const Folder folder(decoder);
  const io::Checkpoint files = folder.checkpoint();
  const std::string layer = "model.layers.0.mlp.gate_proj.weight";
  CHECK(files.dtype(layer + "_packed") == at::kInt);
  CHECK(files.shape(layer + "_packed") == std::vector<int64_t>{48, 4});
  CHECK(files.shape(layer + "_scale") == std::vector<int64_t>{48, 4});
  CHECK(files.load(layer + "_shape").equal(torch::tensor({48, 32}, at::kLong)));
  CHECK_FALSE(files.has(layer));
  CHECK(files.dtype("model.layers.0.mlp.down_proj.weight") == at::kFloat);
  const Json& config = files.config().at("quantization_config");
  CHECK(config.at("quant_method") == "compressed-tensors");
  CHECK(config.at("format") == "pack-quantized");
  CHECK(config.at("ignore") == Json{"lm_head", "model.layers.0.mlp.down_proj",
                                    "model.layers.1.mlp.down_proj",
                                    "model.layers.2.mlp.down_proj"});
  const Json& weights = config.at("config_groups").at("group_0").at("weights");
  CHECK(weights.at("num_bits") == 4);
  CHECK(weights.at("group_size") == 8);
}

TEST_CASE("quantise_decoder: parameters are those of the numbers, bytes those of the integers") {
  Decoder whole = small_decoder();
  for (const nn::QuantisationSpec& spec : kSpecs) {
    Decoder decoder = quantised_decoder(spec);
    CHECK(Cost(decoder).parameters() == Cost(whole).parameters());
    int64_t bytes = 0;
    for (const auto& [name, tensor] : decoder->hf_tensors()) {
      bytes += static_cast<int64_t>(tensor.nbytes());
    }
    CHECK(predict_memory(decoder->config(), {}).weights == bytes);
  }
}

TEST_CASE("quantise_decoder: an adapter learns beside the integers") {
  Decoder decoder = quantised_decoder({});
  add_lora(decoder, {}, 1);
  decoder->train();
  decoder->hidden(test::random_input({5, 3}, decoder->config().vocab_size))
      .square()
      .sum()
      .backward();
  int64_t trained = 0;
  for (const auto& item : decoder->named_parameters()) {
    if (!item.value().requires_grad()) continue;
    ++trained;
    CHECK(item.value().grad().defined());
  }
  CHECK(trained > 0);
  CHECK_THROWS_WITH(merge_lora(decoder), Contains("merged into a quantised weight"));
}

TEST_CASE("load_decoder: integers become the numbers that they say where they are asked for") {
  for (const nn::QuantisationSpec& spec : kSpecs) {
    const Folder folder(quantised_decoder(spec));
    Decoder numbers = folder.load({.as_numbers = true});
    CHECK_FALSE(numbers->config().quantised);
    Decoder integers = folder.load();
    for (const NamedLinear& linear : block_linears(*integers)) {
      for (const NamedLinear& other : block_linears(*numbers)) {
        if (other.name != linear.name) continue;
        CHECK(at::equal(other.layer->weight, kernels::dequantise(linear.layer->codes())));
      }
    }
    const Folder again(numbers, folder.checkpoint().config());
    CHECK_FALSE(again.checkpoint().config().contains("quantization_config"));
  }
}

TEST_CASE("quantise_decoder: routed experts stay numbers, which ignore says") {
  QuantisedLayers layers;
  Decoder decoder = small_decoder(v3_config());
  layers = with_defaults(*decoder, layers);
  quantise_decoder(*decoder, layers);
  const Folder folder(decoder, v3_config());
  Decoder again = folder.load();
  CHECK(at::equal(hidden(again), hidden(decoder)));
  const Json ignore = folder.checkpoint().config().at("quantization_config").at("ignore");
  CHECK(std::find(ignore.begin(), ignore.end(), "re:.*mlp\\.experts\\..*") != ignore.end());
  CHECK(folder.checkpoint().dtype("model.layers.0.mlp.up_proj.weight") == at::kChar);
  CHECK(folder.checkpoint().dtype("model.layers.1.mlp.shared_experts.up_proj.weight") == at::kChar);
}

TEST_CASE("quantise_decoder: what cannot be is refused before any layer changes") {
  Decoder decoder = small_decoder();
  const auto problems = [&](const nn::QuantisationSpec& spec, std::vector<std::string> ignore) {
    return fmt::format(
        "{}", fmt::join(quantisation_problems(*decoder, {.spec = spec, .ignore = ignore}), "; "));
  };
  CHECK(problems({}, {}).empty());
  CHECK_THAT(problems({}, {"model.layers.9.mlp.up_proj", "re:.*o_proj"}),
             Contains("model.layers.9.mlp.up_proj meet no linear layer"));
  CHECK_THAT(problems({}, {"re:.*"}), Contains("leaves no layer"));
  CHECK_THAT(problems({.weight = {.bits = 4, .group = 24, .packed = true}}, {}),
             Contains("24 does not divide") && Contains("model.layers.0.self_attn.q_proj (32)") &&
                 Contains("and "));
  CHECK_THROWS_WITH(quantise_decoder(*decoder, {.ignore = {"re:.*"}}), Contains("no layer"));
  add_lora(decoder, {}, 1);
  CHECK_THROWS_WITH(quantise_decoder(*decoder, {}), Contains("carries an adapter"));
  Decoder once = quantised_decoder({});
  CHECK_THROWS_WITH(quantise_decoder(*once, {}), Contains("quantised already"));
  CHECK_THROWS_WITH(add_gates(once, {UnitKind::kHeads}), Contains("hold integers"));
}

TEST_CASE("load_decoder: broken integers are named") {
  const Folder bytes(quantised_decoder({})), packed(quantised_decoder(kSpecs[2]));
  const std::string name = "model.layers.0.mlp.gate_proj.weight";
  const auto without = [](NamedTensors& tensors, const std::string& gone) {
    std::erase_if(tensors, [&](const auto& tensor) { return tensor.first == gone; });
  };
  const auto replace = [](NamedTensors& tensors, const std::string& which, at::Tensor by) {
    for (auto& [own, tensor] : tensors) {
      if (own == which) tensor = by;
    }
  };
  CHECK_THAT(bytes.broken([&](Json&, auto& t) { without(t, name + "_scale"); }),
             Contains(name + "_scale is missing"));
  CHECK_THAT(bytes.broken([&](Json&, auto& t) { replace(t, name, at::ones({48, 32})); }),
             Contains(name + " is F32, but must hold integers"));
  CHECK_THAT(bytes.broken([&](Json&, auto& t) { replace(t, name, at::ones({48, 32}, at::kInt)); }),
             Contains(name + " is Int, but its codes must be Char"));
  CHECK_THAT(bytes.broken([&](Json&, auto& t) { replace(t, name + "_scale", at::ones({48, 2})); }),
             Contains(name + "_scale must be [48, 1], got [48, 2]"));
  CHECK_THAT(packed.broken([&](Json&, auto& t) {
    replace(t, name + "_shape", torch::tensor({48, 40}, at::kLong));
  }),
             Contains("says [48, 40], but the weight is [48, 32]"));
  CHECK_THAT(packed.broken([&](Json&, auto& t) {
    replace(t, name + "_packed", at::ones({48, 5}, at::kInt));
  }),
             Contains(name + "_packed must be [48, 4]"));
  CHECK_THAT(bytes.broken([&](Json& config, auto&) {
    config["quantization_config"]["ignore"].push_back("re:.*gate_proj");
  }),
             Contains(name));
}

TEST_CASE("read_quantised_layers: what is not supported is named, all at once") {
  const Json whole = quantisation_json(*quantised_decoder({}));
  const auto message = [&](const std::function<void(Json&)>& change) -> std::string {
    Json config = whole;
    change(config);
    try {
      read_quantised_layers({{"quantization_config", config}}, "config.json");
    } catch (const IoError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(message([](Json&) {}).empty());
  const std::string several = message([](Json& config) {
    Json& group = config["config_groups"]["group_0"];
    group["weights"]["symmetric"] = false;
    group["weights"]["num_bits"] = 3;
    group["input_activations"]["dynamic"] = false;
    config["kv_cache_scheme"] = Json::object({{"num_bits", 8}});
  });
  for (const char* key :
       {"weights/symmetric", "weights/num_bits", "input_activations/dynamic", "kv_cache_scheme"}) {
    CHECK_THAT(several, Contains(key));
  }
  CHECK_THAT(message([](Json& c) { c["ignore"] = {"re:(["}; }), Contains("ignore"));
  CHECK_THAT(message([](Json& c) { c["ignore"] = {1}; }), Contains("expected names"));
  CHECK_THAT(message([](Json& c) { c["config_groups"] = Json::object(); }),
             Contains("exactly one group"));
  CHECK_THAT(message([](Json& c) { c["config_groups"]["group_0"]["targets"] = {"Conv"}; }),
             Contains("targets"));
  CHECK_FALSE(read_quantised_layers({{"quantization_config", {{"quant_method", "fp8"}}}}, ""));
  CHECK_FALSE(read_quantised_layers(Json::object(), ""));
}

}  // namespace
}  // namespace hone::model
