// Experts as units of pruning: masks, cuts, folders for hone and for transformers.
#include <torch/types.h>
#include <torch/utils.h>

#include "hone/core/error.h"
#include "hone/io/adapter.h"
#include "hone/io/checkpoint.h"
#include "hone/model/adapter.h"
#include "hone/model/cost.h"
#include "hone/model/pruned/export.h"
#include "hone/model/pruned/pruning.h"
#include "hone/optim/adamw.h"
#include "hone/run/optimizer.h"
#include "model/support.h"
#include "support/catch.h"
#include "support/gradcheck.h"
#include "support/temporary_folder.h"

namespace hone::model {
namespace {

using Catch::Contains;
using hone::test::relative_difference;
using test::loss_of;
using test::random_input;
using test::v3_config;

constexpr UnitKind kExperts = UnitKind::kExperts;

/// A dense layer and two of twelve experts in three groups, of which a token takes two.
Json config_of(const char* family = "deepseek_v3") {
  Json config = v3_config();
  config["model_type"] = family;
  config["initializer_range"] = 0.3;
  config["n_routed_experts"] = 12;
  if (family == std::string("deepseek_v2")) config["topk_method"] = "group_limited_greedy";
  if (family == std::string("qwen3_moe")) {
    config = test::small_config(family);
    config.update({{"num_experts", 12},
                   {"num_experts_per_tok", 2},
                   {"moe_intermediate_size", 20},
                   {"mlp_only_layers", {0}},
                   {"initializer_range", 0.3}});
  }
  return config;
}

Decoder decoder_of(const Json& config = config_of(), at::ScalarType dtype = at::kDouble) {
  Decoder decoder = make_decoder(DecoderConfig::from_json(config, "test"), at::kCPU, dtype);
  decoder->initialise(1);
  return decoder;
}

/// As many of each group of four: experts 1, 6 and 11 of layer 1 go, 0, 4 and 9 of layer 2.
Masks even_masks() {
  Masks masks = {{1, std::vector<bool>(12, true)}, {2, std::vector<bool>(12, true)}};
  for (const size_t e : {1, 6, 11}) masks[1][e] = false;
  for (const size_t e : {0, 4, 9}) masks[2][e] = false;
  return masks;
}

at::Tensor logits(Decoder& decoder) {
  const torch::NoGradGuard no_grad;
  decoder->eval();
  const at::Tensor logits = decoder->logits(decoder->hidden(random_input({7, 5, 9}, 40)));
  decoder->train();
  return logits;
}

TEST_CASE("Experts: a cut has the masked model's logits and next steps") {
  for (const char* family : {"deepseek_v3", "deepseek_v2", "qwen3_moe"}) {
    for (const bool adapted : {false, true}) {
      INFO(family << ", adapted " << adapted);
      Decoder soft = decoder_of(config_of(family)), hard = decoder_of(config_of(family));
      if (adapted) {
        const nn::LoraOptions lora = {
            .rank = 2, .targets = {"o_proj"}, .target_parameters = {"gate_up_proj", "down_proj"}};
        for (Decoder* decoder : {&soft, &hard}) add_lora(*decoder, lora, 3);
      }
      const auto optimizer_of = [](const Decoder& decoder) {
        return optim::FusedAdamW(trainable_parameters(decoder), {.lr = 0.01, .weight_decay = 0.1});
      };
      optim::FusedAdamW of_soft = optimizer_of(soft), of_hard = optimizer_of(hard);
      const auto step = [](Decoder& decoder, optim::FusedAdamW& optimizer) {
        optimizer.zero_grad();
        loss_of(decoder, random_input({9, 6}, 40)).backward();
        optimizer.step();
      };
      const at::Tensor whole = logits(soft);
      for (Decoder* decoder : {&soft, &hard}) add_gates(*decoder, {kExperts});
      step(soft, of_soft);
      step(hard, of_hard);
      set_masks(soft, kExperts, even_masks());
      set_masks(hard, kExperts, even_masks());
      const int64_t parameters = Cost(hard).parameters();
      const CutResult result = cut(hard, kExperts);
      run::follow(of_hard, result);
      CHECK(relative_difference(logits(hard), logits(soft)) < 1e-12);
      CHECK(relative_difference(logits(hard), whole) > 1e-2);
      CHECK(parameters - Cost(hard->config()).parameters() >= 2 * 3 * 3 * 20 * 32);
      CHECK(masks(hard, kExperts).at(2) == std::vector<bool>(9, true));
      for (int i = 0; i < 2; ++i) {
        step(soft, of_soft);
        step(hard, of_hard);
      }
      CHECK(relative_difference(logits(hard), logits(soft)) < 1e-9);
    }
  }
}

TEST_CASE("Experts: units, masses and gates are those of layers that have any") {
  Decoder decoder = decoder_of();
  const std::vector<LayerUnits> all = units(decoder, kExperts);
  REQUIRE(all.size() == 2);
  CHECK(all[0].layer == 1);
  CHECK(all[0].units == 12);
  CHECK(all[0].groups == std::vector<int64_t>{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2});
  CHECK(all[0].parameters_per_unit == 3 * 20 * 32 + 32);
  CHECK(units(decoder, UnitKind::kChannels).size() == 1);
  CHECK_FALSE(has_gates(decoder, kExperts));
  add_gates(decoder, {kExperts});
  CHECK(has_gates(decoder, kExperts));
  CHECK_FALSE(has_gates(decoder, UnitKind::kChannels));
  measure(decoder, kExperts, nn::Importance::kOutputNorm);
  loss_of(decoder, random_input({9, 6}, 40)).backward();
  const Importances masses = importances(decoder, kExperts);
  REQUIRE(masses.size() == 2);
  double sum = 0;
  for (const double mass : masses.at(1)) sum += mass;
  CHECK(sum == Approx(2.5));  // normalised weights by routed_scaling_factor
  const Json state = gates_json(decoder);
  Decoder other = decoder_of();
  restore_gates(other, state);
  CHECK(gates_json(other) == state);

  CHECK_THROWS_WITH(set_masks(decoder, kExperts, {{0, {true}}}), Contains("no layer 0 to mask"));
  CHECK_THROWS_WITH(set_masks(decoder, kExperts, {{1, std::vector<bool>(12, false)}}),
                    Contains("layer 1 would have no experts left"));
  Masks uneven = even_masks();
  uneven[2][1] = false;
  set_masks(decoder, kExperts, uneven);
  CHECK_THROWS_WITH(cut(decoder, kExperts), Contains("leave 2 3 3 of the 4 of each group"));
  CHECK(units(decoder, kExperts)[0].units == 12);  // nothing was cut
  Decoder dense = test::small_decoder();
  CHECK_THROWS_WITH(add_gates(dense, {kExperts}), Contains("the model has no experts to prune"));
}

TEST_CASE("Experts: a pruned model is saved, loaded and brought to its shape again") {
  const TemporaryFolder root;
  Decoder decoder = decoder_of(config_of(), at::kFloat),
          fresh = decoder_of(config_of(), at::kFloat);
  add_gates(decoder, {kExperts});
  set_masks(decoder, kExperts, even_masks());
  cut(decoder, kExperts);
  save_decoder(root.path + "/pruned", decoder, config_of());
  const auto checkpoint = io::Checkpoint::open(root.path + "/pruned");
  CHECK(checkpoint.config()["n_routed_experts"] == 12);
  CHECK(checkpoint.config()["hone_pruned"]["layers"][1]["experts"].size() == 9);
  Decoder loaded = load_decoder(checkpoint, at::kCPU, at::kFloat);
  CHECK(at::equal(logits(loaded), logits(decoder)));
  cut_to(fresh, decoder->config().pruned);
  CHECK(at::equal(logits(fresh), logits(decoder)));
  CHECK_THROWS_WITH(cut_to(fresh, {}), Contains("layer 1 has no expert 1 to keep"));
}

TEST_CASE("Experts: an export says their number; layers that differ are refused") {
  const TemporaryFolder root;
  for (const auto& [family, key] : {std::pair{"deepseek_v3", "n_routed_experts"},
                                    {"deepseek_v2", "n_routed_experts"},
                                    {"qwen3_moe", "num_experts"}}) {
    INFO(family);
    const Json config = config_of(family);
    Decoder decoder = decoder_of(config, at::kFloat);
    add_gates(decoder, {kExperts});
    set_masks(decoder, kExperts, even_masks());
    cut(decoder, kExperts);
    const std::string folder = root.path + "/" + family;
    CHECK(export_pruned(folder, folder + "-compact", decoder, config) == ExportForm::kDirect);
    const auto checkpoint = io::Checkpoint::open(folder);
    CHECK(checkpoint.config()[key] == 9);
    CHECK_FALSE(checkpoint.config().contains("hone_pruned"));
    Decoder loaded = load_decoder(checkpoint, at::kCPU, at::kFloat);
    CHECK(relative_difference(logits(loaded), logits(decoder)) < 1e-6);
  }
  Decoder decoder = decoder_of();
  cut_to(decoder, {{0}, {1, {}, {}, {0, 1, 2, 4, 5, 6, 8, 9, 10}}, {2}});
  CHECK_THROWS_WITH(export_pruned(root.path + "/uneven", root.path + "/c", decoder, config_of()),
                    Contains("layer 2 has 12 left and others 9: cut as many of each"));
}

TEST_CASE("hone_pruned: hostile lists of experts are named") {
  const auto read = [](int64_t layer, const Json& experts) {
    Json config = config_of();
    config["hone_pruned"]["layers"] = {{{"index", layer}, {"experts", experts}}};
    return DecoderConfig::from_json(config, "config.json");
  };
  CHECK_THROWS_WITH(read(0, {0, 1}), Contains("layers/0/experts: the layer has none"));
  CHECK_THROWS_WITH(read(1, {12}), Contains("experts/0: must be in [0, 11], got 12"));
  CHECK_THROWS_WITH(read(1, {0, 1, 4, 5, 8}),
                    Contains("experts: must leave equally many, and 2 at least, of each of 3 "
                             "groups, got from 1 to 2"));
  CHECK_THROWS_WITH(read(1, {0, 4, 8}), Contains("got from 1 to 1"));
  CHECK_THROWS_WITH(read(7, {0}), Contains("layers/0/index: must be in [0, 2], got 7"));
  CHECK_NOTHROW(read(1, {0, 1, 4, 5, 8, 9}));
}

}  // namespace
}  // namespace hone::model
