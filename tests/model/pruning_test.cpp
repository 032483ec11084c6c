#include "hone/model/pruned/pruning.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "hone/core/error.h"
#include "hone/io/adapter.h"
#include "hone/io/checkpoint.h"
#include "hone/model/adapter.h"
#include "hone/model/cost.h"
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
using test::small_config;

constexpr UnitKind kHeads = UnitKind::kHeads, kChannels = UnitKind::kChannels,
                   kLayers = UnitKind::kLayers;

/// In float64, where the rounding of other shapes stays far below Adam's step.
Decoder decoder_of(Json config = small_config(), at::ScalarType dtype = at::kDouble) {
  config["initializer_range"] = 0.3;  // so that attention is far from uniform
  Decoder decoder = make_decoder(DecoderConfig::from_json(config, "test"), at::kCPU, dtype);
  decoder->initialise(1);
  const torch::NoGradGuard no_grad;
  torch::manual_seed(4);
  for (auto& [name, tensor] : decoder->hf_tensors()) {
    if (tensor.dim() == 1) tensor.add_(at::randn(tensor.sizes()) * 0.1);  // norms and biases
  }
  return decoder;
}

/// Heads of two layers, the second loses a whole group; every third channel of one; one layer.
void mask(Decoder& decoder, const std::vector<UnitKind>& kinds) {
  add_gates(decoder, kinds);
  for (const UnitKind kind : kinds) {
    if (kind == kHeads) {
      set_masks(decoder, kind, {{0, {true, false, true, true}}, {2, {false, false, true, false}}});
    } else if (kind == kChannels) {
      std::vector<bool> on(48, true);
      for (size_t i = 0; i < on.size(); i += 3) on[i] = false;
      set_masks(decoder, kind, {{2, on}});
    } else {
      set_masks(decoder, kind, {{1, {false}}});
    }
  }
}

CutResult cut_all(Decoder& decoder, const std::vector<UnitKind>& kinds) {
  CutResult all;
  for (const UnitKind kind : kinds) {
    CutResult one = cut(decoder, kind);
    all.cuts.insert(all.cuts.end(), one.cuts.begin(), one.cuts.end());
    all.removed.insert(all.removed.end(), one.removed.begin(), one.removed.end());
    all.parameters = std::move(one.parameters);
  }
  return all;
}

at::Tensor logits(Decoder& decoder) {
  const torch::NoGradGuard no_grad;
  decoder->eval();
  const at::Tensor logits = decoder->logits(decoder->hidden(random_input({7, 5, 9}, 40)));
  decoder->train();
  return logits;
}

void step(Decoder& decoder, optim::FusedAdamW& optimizer) {
  optimizer.zero_grad();
  loss_of(decoder, random_input({9, 6}, 40)).backward();
  optimizer.step();
}

optim::FusedAdamW optimizer_of(const Decoder& decoder) {
  return {trainable_parameters(decoder), {.lr = 0.01, .weight_decay = 0.1}};
}

int64_t bytes(const optim::FusedAdamW& optimizer) {
  int64_t sum = 0;
  for (const auto& [name, tensor] : optimizer.state()) sum += static_cast<int64_t>(tensor.nbytes());
  return sum;
}

std::map<std::string, at::Tensor> by_name(const NamedTensors& tensors) {
  return {tensors.begin(), tensors.end()};
}

/// `whole` cut as `result` says.
at::Tensor sliced(const std::string& name, at::Tensor whole, const CutResult& result) {
  for (const nn::Cut& cut : result.cuts) {
    if (cut.parameter == name) whole = whole.index_select(cut.dim, cut.keep);
  }
  return whole;
}

const std::vector<std::vector<UnitKind>> kSets = {
    {kHeads}, {kChannels}, {kLayers}, {kHeads, kChannels, kLayers}};

TEST_CASE("cut: logits of the masked model, and its next steps on what is left") {
  for (const char* family : {"llama", "qwen2", "qwen3"}) {
    for (const std::vector<UnitKind>& kinds : kSets) {
      INFO(family << ", " << kinds.size() << " kinds from " << enum_name(kinds[0]));
      Json config = small_config(family);
      if (family == std::string("llama")) config["attention_bias"] = config["mlp_bias"] = true;
      Decoder soft = decoder_of(config), hard = decoder_of(config);
      optim::FusedAdamW soft_optimizer = optimizer_of(soft), hard_optimizer = optimizer_of(hard);
      const at::Tensor unmasked = logits(soft);
      step(soft, soft_optimizer);
      step(hard, hard_optimizer);
      mask(soft, kinds);
      mask(hard, kinds);
      step(soft, soft_optimizer);
      step(hard, hard_optimizer);
      const CutResult result = cut_all(hard, kinds);
      run::follow(hard_optimizer, result);
      CHECK(relative_difference(logits(hard), logits(soft)) < 1e-12);
      CHECK(relative_difference(logits(hard), unmasked) > 1e-2);
      for (int i = 0; i < 2; ++i) {
        step(soft, soft_optimizer);
        step(hard, hard_optimizer);
      }
      auto whole = by_name(soft->hf_tensors());
      for (const auto& [name, tensor] : hard->hf_tensors()) {
        INFO(name);
        CHECK(relative_difference(tensor, sliced(name, whole.at(name), result)) < 1e-9);
        whole.erase(name);
      }
      CHECK(whole.size() == result.removed.size());
      for (const std::string& name : result.removed) CHECK(whole.contains(name));
    }
  }
}

TEST_CASE("cut: in float32, with checkpointing and dropout's masks off, logits within 1e-5") {
  Decoder decoder = decoder_of(small_config("qwen3"), at::kFloat);
  mask(decoder, kSets.back());
  decoder->set_checkpointing(2);
  const at::Tensor soft = logits(decoder);
  cut_all(decoder, kSets.back());
  CHECK(relative_difference(logits(decoder), soft) < 1e-5);
}

TEST_CASE("cut: parameters, flops and the optimiser's memory fall by what is gone") {
  Decoder decoder = decoder_of(small_config(), at::kFloat);
  optim::FusedAdamW optimizer = optimizer_of(decoder);
  const int64_t before = bytes(optimizer);
  const int64_t parameters = Cost(decoder).parameters(), flops = Cost(decoder).token_flops(10);
  mask(decoder, kSets.back());
  run::follow(optimizer, cut_all(decoder, kSets.back()));
  // Layer 0: a query head. Layer 2: three query heads and a key head, 16 channels. Layer 1: all.
  const int64_t head = 2 * 8 * 32, kv = 2 * 8 * 32, channels = 3 * 32 * 16;
  const int64_t matrices = 4 * head + kv + channels + 4 * head + 2 * kv + 3 * 32 * 48;
  const Cost left(decoder->config());
  CHECK(parameters - left.parameters() == matrices + 2 * 32);
  CHECK(flops - left.token_flops(10) == 2 * matrices + 4 * 8 * 8 * 10);
  int64_t counted = 0;
  for (const auto& [name, tensor] : decoder->hf_tensors()) counted += tensor.numel();
  CHECK(counted == left.parameters());
  const int64_t counters = 9 * 4;  // the step counts of a layer's parameters
  CHECK(before - bytes(optimizer) == 8 * (matrices + 2 * 32) + counters);
}

TEST_CASE("units: their numbers, groups and sizes") {
  Decoder decoder = decoder_of(small_config("qwen2"), at::kFloat);
  const std::vector<LayerUnits> heads = units(decoder, kHeads);
  REQUIRE(heads.size() == 3);
  CHECK(heads[1].layer == 1);
  CHECK(heads[1].units == 4);
  CHECK(heads[1].groups == std::vector<int64_t>{0, 0, 1, 1});
  CHECK(heads[1].parameters_per_unit == (2 * 32 * 32 + 32 + 2 * 16 * 33) / 4.0);
  CHECK(units(decoder, kChannels)[0].units == 48);
  CHECK(units(decoder, kChannels)[0].parameters_per_unit == 3 * 32);
  CHECK(units(decoder, kLayers)[2].units == 1);
  CHECK(units(decoder, kLayers)[2].parameters_per_unit ==
        4 * heads[0].parameters_per_unit + 48 * 3 * 32 + 2 * 32);
  mask(decoder, {kHeads});
  cut(decoder, kHeads);
  CHECK(units(decoder, kHeads)[0].groups == std::vector<int64_t>{0, 1, 1});
}

TEST_CASE("cut: again and again, down to one head of one layer; tensors keep their names") {
  Decoder decoder = decoder_of();
  mask(decoder, {kHeads, kLayers});
  cut_all(decoder, {kHeads, kLayers});
  set_masks(decoder, kHeads, {{0, {false, true, false}}});
  set_masks(decoder, kLayers, {{2, {false}}});
  const at::Tensor soft = logits(decoder);
  cut_all(decoder, {kHeads, kLayers});
  CHECK(relative_difference(logits(decoder), soft) < 1e-12);
  CHECK((decoder->config().pruned == std::vector<PrunedLayer>{{0, {2}, {}}}));
  CHECK(cut_all(decoder, {kHeads, kLayers}).cuts.empty());
  const auto tensors = by_name(decoder->hf_tensors());
  CHECK(tensors.size() == 3 + 9);
  CHECK(tensors.at("model.layers.0.self_attn.k_proj.weight").size(0) == 8);
}

TEST_CASE("cut: a layer before others goes; theirs keep their names") {
  Decoder decoder = decoder_of();
  add_gates(decoder, {kLayers});
  set_masks(decoder, kLayers, {{0, {false}}});
  const CutResult result = cut(decoder, kLayers);
  CHECK(result.removed.size() == 9);
  CHECK(result.removed[0].starts_with("model.layers.0."));
  const auto tensors = by_name(decoder->hf_tensors());
  CHECK(tensors.count("model.layers.0.mlp.up_proj.weight") == 0);
  CHECK(tensors.count("model.layers.2.mlp.up_proj.weight") == 1);
  CHECK(masks(decoder, kLayers) == Masks{{1, {true}}, {2, {true}}});
}

TEST_CASE("cut_to: a fresh base in the shape of a saved run") {
  Decoder run = decoder_of(), fresh = decoder_of();
  mask(run, kSets.back());
  cut_all(run, kSets.back());
  CHECK_FALSE(cut_to(fresh, run->config().pruned).cuts.empty());
  CHECK((fresh->config().pruned == run->config().pruned));
  CHECK(at::equal(logits(fresh), logits(run)));

  CHECK_THROWS_WITH(cut_to(fresh, {}), Contains("layer 0 has no head 1 to keep"));
  CHECK_THROWS_WITH(cut_to(fresh, {{1, {}, {}}}), Contains("there is no layer 1 to keep"));
  CHECK_THROWS_WITH(cut_to(fresh, {{2, {2}, {0}}}), Contains("layer 2 has no channel 0 to keep"));
  CHECK(at::equal(logits(fresh), logits(run)));  // errors changed nothing
  CHECK(cut_to(fresh, run->config().pruned).cuts.empty());
}

TEST_CASE("save_decoder and load_decoder: a pruned model, its cache and its memory") {
  const TemporaryFolder root;
  for (const char* family : {"llama", "qwen2", "qwen3"}) {
    Decoder decoder = decoder_of(small_config(family), at::kFloat);
    mask(decoder, kSets.back());
    cut_all(decoder, kSets.back());
    const std::string folder = root.path + "/" + family;
    save_decoder(folder, decoder, small_config(family));
    const auto checkpoint = io::Checkpoint::open(folder);
    CHECK(checkpoint.config()["num_attention_heads"] == 4);
    CHECK(checkpoint.config()["num_hidden_layers"] == 3);
    Decoder loaded = load_decoder(checkpoint, at::kCPU, at::kFloat);
    CHECK((loaded->config().pruned == decoder->config().pruned));
    CHECK(at::equal(logits(loaded), logits(decoder)));

    // Two tokens at a time against all at once.
    loaded->eval();
    const std::vector<int64_t> ids = {3, 17, 8, 21, 30, 2, 9, 11};
    const torch::NoGradGuard no_grad;
    const at::Tensor whole =
        loaded->hidden(make_input(std::vector<std::vector<int64_t>>{ids}, at::kCPU));
    KvCache cache(loaded->cache_shapes(), at::kFloat);
    for (size_t i = 0; i < ids.size(); i += 2) {
      const std::vector<std::vector<int64_t>> next = {{ids[i], ids[i + 1]}};
      const std::vector<int64_t> past = {static_cast<int64_t>(i)};
      const at::Tensor got = loaded->hidden(make_input(next, at::kCPU, past), cache, 0);
      const auto row = static_cast<int64_t>(i);
      CHECK(relative_difference(got, whole.slice(0, row, row + 2)) < 1e-5);
    }
  }
}

TEST_CASE("decoder_config_json: what pruning left replaces what the base's config said") {
  Json config = small_config();
  config["hone_pruned"] = {{"layers", {{{"index", 0}}, {{"index", 2}}}}};
  Decoder decoder = decoder_of(config);
  CHECK(decoder_config_json(decoder, config)["hone_pruned"] == config["hone_pruned"]);
  cut_to(decoder, {{2, {0, 1}, {}}});
  CHECK(decoder_config_json(decoder, config)["hone_pruned"].dump() ==
        R"({"layers":[{"index":2,"heads":[0,1]}]})");
  CHECK_FALSE(decoder_config_json(decoder_of(), config).contains("hone_pruned"));
}

TEST_CASE("cut: with a low-rank adapter, base and adapter as one") {
  for (const bool dora : {false, true}) {
    const nn::LoraOptions options = {.rank = 2, .dora = dora};
    const auto adapted = [&] {
      Decoder decoder = decoder_of();
      add_lora(decoder, options, 3);
      const torch::NoGradGuard no_grad;
      torch::manual_seed(6);
      for (auto& [name, tensor] : trainable_parameters(decoder)) {
        if (!name.ends_with("magnitude_vector")) tensor.add_(at::randn(tensor.sizes()) * 0.1);
      }
      return decoder;
    };
    Decoder decoder = adapted();
    optim::FusedAdamW optimizer = optimizer_of(decoder);
    step(decoder, optimizer);
    mask(decoder, kSets.back());
    const at::Tensor soft = logits(decoder);
    const int64_t before = bytes(optimizer);
    run::follow(optimizer, cut_all(decoder, kSets.back()));
    CHECK(relative_difference(logits(decoder), soft) < 1e-12);
    CHECK(bytes(optimizer) < before);
    CHECK(optimizer.state().size() == 3 * trainable_parameters(decoder).size());
    step(decoder, optimizer);

    // Saved, and put on the base in the shape of the run.
    const io::AdapterFiles files = adapter_files(decoder, "base");
    Decoder loaded = decoder_of();
    cut_to(loaded, decoder->config().pruned);
    load_adapter(loaded, files);
    CHECK(at::equal(logits(loaded), logits(decoder)));
    merge_lora(loaded);
    CHECK(relative_difference(logits(loaded), logits(decoder)) < 1e-9);
  }
}

TEST_CASE("add_lora on a pruned base trains as an adapter that was pruned with its base") {
  const nn::LoraOptions options = {.rank = 2, .targets = {"q_proj", "v_proj", "down_proj"}};
  Decoder first = decoder_of(), last = decoder_of();
  mask(first, kSets.back());
  cut_all(first, kSets.back());
  add_lora(first, options, 3);
  add_lora(last, options, 5);
  mask(last, kSets.back());
  cut_all(last, kSets.back());
  const NamedTensors ours = trainable_parameters(first), theirs = trainable_parameters(last);
  REQUIRE(ours.size() == 2 * 3 * 2);
  for (size_t i = 0; i < ours.size(); ++i) {
    const torch::NoGradGuard no_grad;
    CHECK(ours[i].first == theirs[i].first);
    ours[i].second.copy_(theirs[i].second);
  }
  for (Decoder* decoder : {&first, &last}) {
    optim::FusedAdamW optimizer = optimizer_of(*decoder);
    for (int i = 0; i < 3; ++i) step(*decoder, optimizer);
  }
  for (size_t i = 0; i < ours.size(); ++i) CHECK(at::equal(ours[i].second, theirs[i].second));
}

TEST_CASE("gates: measured, saved and restored to the bit") {
  Decoder decoder = decoder_of(), again = decoder_of();
  add_gates(decoder, {kHeads, kLayers});
  CHECK(has_gates(decoder, kLayers));
  CHECK_FALSE(has_gates(decoder, kChannels));
  measure(decoder, kHeads, nn::Importance::kTaylor);
  CHECK_THROWS_AS(importances(decoder, kHeads), Error);
  loss_of(decoder, random_input({9, 6}, 40)).backward();
  set_masks(decoder, kHeads, {{1, {true, false, true, true}}});
  const Json state = Json::parse(gates_json(decoder).dump());
  restore_gates(again, state);
  CHECK(masks(again, kHeads) == masks(decoder, kHeads));
  CHECK(importances(again, kHeads) == importances(decoder, kHeads));
  for (Decoder* each : {&decoder, &again}) {
    (*each)->zero_grad();
    loss_of(*each, random_input({5, 8}, 40)).backward();
  }
  CHECK(importances(again, kHeads) == importances(decoder, kHeads));
  CHECK(gates_json(again) == gates_json(decoder));
  reset_importances(again, kHeads);
  CHECK_THROWS_AS(importances(again, kHeads), Error);

  Json damaged = state;
  damaged["heads"]["1"]["sums"].erase(0);
  CHECK_THROWS_WITH(restore_gates(again, damaged), Contains("the state has 4 heads in layer 1"));

  cut(decoder, kHeads);
  CHECK_THROWS_WITH(restore_gates(decoder, state),
                    Contains("the state has 4 heads in layer 1, the decoder 3"));
}

TEST_CASE("set_masks: what cannot be masked is named, and nothing changes") {
  Decoder decoder = decoder_of();
  CHECK_THROWS_WITH(masks(decoder, kHeads), Contains("no gates on heads; call add_gates"));
  CHECK_THROWS_WITH(cut(decoder, kLayers), Contains("no gates on layers"));
  add_gates(decoder, {kHeads, kLayers});
  const std::vector<bool> one = {true, false, false, false};
  CHECK_THROWS_WITH(set_masks(decoder, kHeads, {{0, one}, {3, one}}),
                    Contains("there is no layer 3 to mask heads of"));
  CHECK_THROWS_WITH(set_masks(decoder, kHeads, {{0, one}, {1, {true}}}),
                    Contains("heads of layer 1 must be of 4 units, got 1"));
  CHECK_THROWS_WITH(set_masks(decoder, kHeads, {{0, one}, {1, std::vector<bool>(4, false)}}),
                    Contains("layer 1 would have no heads left"));
  CHECK(masks(decoder, kHeads).at(0) == std::vector<bool>(4, true));
  set_masks(decoder, kLayers, {{0, {false}}, {1, {false}}});
  CHECK_THROWS_WITH(set_masks(decoder, kLayers, {{2, {false}}}),
                    Contains("no layer would be left"));
  set_masks(decoder, kLayers, {{1, {true}}, {2, {false}}});
  CHECK(masks(decoder, kLayers) == Masks{{0, {false}}, {1, {true}}, {2, {false}}});
}

}  // namespace
}  // namespace hone::model
