#include "hone/model/pruned/narrow.h"

#include <catch2/catch.hpp>

#include "hone/core/error.h"
#include "hone/model/adapter.h"
#include "hone/model/cost.h"
#include "hone/model/pruned/pruning.h"
#include "model/support.h"

namespace hone::model {
namespace {

using Catch::Matchers::StartsWith;

/// A decoder with biases where the family has any and norms that are not 1.
PlainModel model_of(const char* type, bool tied) {
  Json config = test::small_config(type);
  config.update({{"tie_word_embeddings", tied}, {"attention_bias", true}, {"mlp_bias", true}});
  PlainModel model{test::small_decoder(config), config};
  const torch::NoGradGuard no_grad;
  uint64_t seed = 1;
  for (auto& [name, tensor] : model.decoder->base_tensors()) {
    if (tensor.dim() > 1) continue;
    const auto generator = at::make_generator<at::CPUGeneratorImpl>(seed++);
    tensor.copy_(at::rand(tensor.sizes(), generator, at::kFloat) + 0.5);
  }
  model.decoder->eval();
  return model;
}

at::Tensor logits(PlainModel& model, const DecoderInput& input) {
  const torch::NoGradGuard no_grad;
  return model.decoder->logits(model.decoder->hidden(input));
}

double difference(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

const DecoderInput kInput = test::random_input({9, 6, 30}, 40);

Passes passes_of(PlainModel& model) {
  return [&model] {
    const torch::NoGradGuard no_grad;
    model.decoder->hidden(kInput);
  };
}

TEST_CASE("turned into as many directions, a model gives the same logits") {
  for (const char* type : {"llama", "qwen2", "qwen3"}) {
    for (const bool tied : {false, true}) {
      INFO(type << tied);
      PlainModel model = model_of(type, tied);
      const at::Tensor wanted = logits(model, kInput);
      const ResidualBasis turn = principal_basis(model.decoder, 32, passes_of(model));
      CHECK(difference(at::matmul(turn.directions.t(), turn.directions), at::eye(32, at::kDouble)) <
            1e-12);
      PlainModel turned = narrow(model, turn);
      CHECK(difference(logits(turned, kInput), wanted) < 1e-4);  // float32 sums in another order
      CHECK_FALSE(turned.decoder->config().tie_word_embeddings);
      CHECK(difference(turned.decoder->embed_tokens->weight, model.decoder->embed_tokens->weight) >
            0.1);

      PlainModel same =
          narrow(model, strongest_channels_basis(model.decoder, 32, passes_of(model)));
      CHECK(difference(logits(same, kInput), wanted) < 1e-5);
      CHECK(same.decoder->config().tie_word_embeddings == tied);
    }
  }
}

/// Lets nothing but some channels of the stream carry anything.
void silence(PlainModel& model, const std::vector<int64_t>& channels) {
  const torch::NoGradGuard no_grad;
  const at::Tensor index = torch::tensor(channels, at::kLong);
  for (auto& [name, tensor] : model.decoder->base_tensors()) {
    if (name.find("embed_tokens") != std::string::npos) tensor.index_fill_(1, index, 0);
    if (name.find("o_proj") != std::string::npos || name.find("down_proj") != std::string::npos) {
      tensor.index_fill_(0, index, 0);
    }
  }
}

TEST_CASE("directions that carry nothing are given up without loss") {
  for (const bool tied : {false, true}) {
    PlainModel model = model_of("llama", tied);
    silence(model, {0, 3, 4, 7, 12, 13, 20, 31});
    const at::Tensor wanted = logits(model, kInput);
    PlainModel channels =
        narrow(model, strongest_channels_basis(model.decoder, 24, passes_of(model)));
    CHECK(difference(logits(channels, kInput), wanted) < 1e-4);
    CHECK(channels.decoder->config().hidden_size == 24);
    CHECK(channels.config.at("head_dim") == 8);
    CHECK(channels.decoder->config().tie_word_embeddings == tied);
    const ResidualBasis basis = principal_basis(model.decoder, 24, passes_of(model));
    PlainModel principal = narrow(model, basis);
    CHECK(difference(logits(principal, kInput), wanted) < 1e-3);  // eps counts for more of less
    CHECK(Cost(principal.decoder).parameters() < Cost(model.decoder).parameters());
    // The norms' results shrink with the width that they divide by.
    for (const double scale : basis.scales)
      CHECK(scale == Approx(std::sqrt(32.0 / 24)).epsilon(1e-4));
  }
}

TEST_CASE("principal directions keep more of the stream than the strongest channels") {
  PlainModel model = model_of("qwen3", false);
  const at::Tensor wanted = logits(model, kInput);
  PlainModel principal = narrow(model, principal_basis(model.decoder, 24, passes_of(model)));
  PlainModel channels =
      narrow(model, strongest_channels_basis(model.decoder, 24, passes_of(model)));
  CHECK(difference(logits(principal, kInput), wanted) <
        difference(logits(channels, kInput), wanted));
}

TEST_CASE("a head can be kept tied by the last norm that fits best") {
  PlainModel model = model_of("llama", true);
  const ResidualBasis basis = principal_basis(model.decoder, 24, passes_of(model));
  PlainModel tied = narrow(model, basis, /*keep_tied=*/true);
  CHECK(tied.decoder->config().tie_word_embeddings);
  const at::Tensor wanted = logits(model, kInput);
  const double fitted = difference(logits(tied, kInput), wanted);
  const torch::NoGradGuard no_grad;
  const auto parameters = tied.decoder->norm->parameters();
  parameters[0].copy_(at::full({24}, basis.scales.back()));
  CHECK(fitted < difference(logits(tied, kInput), wanted));
}

TEST_CASE("layers that were cut alike become a plain model with equal logits") {
  PlainModel model = model_of("qwen2", true);
  add_gates(model.decoder, {UnitKind::kHeads, UnitKind::kChannels, UnitKind::kLayers});
  std::vector<bool> channels(48, true);
  channels[5] = channels[17] = false;
  set_masks(model.decoder, UnitKind::kLayers, {{1, {false}}});
  cut(model.decoder, UnitKind::kLayers);
  for (const int64_t layer : {0, 2}) {
    set_masks(model.decoder, UnitKind::kHeads, {{layer, {false, true, true, false}}});
    set_masks(model.decoder, UnitKind::kChannels, {{layer, channels}});
  }
  cut(model.decoder, UnitKind::kHeads);
  cut(model.decoder, UnitKind::kChannels);
  PlainModel plain = plain_model(model.decoder, model.config);
  CHECK(at::equal(logits(plain, kInput), logits(model, kInput)));
  CHECK(plain.decoder->config().pruned.empty());
  CHECK(plain.decoder->config().num_hidden_layers == 2);
  CHECK(plain.config.at("num_attention_heads") == 2);
  CHECK(plain.config.at("num_key_value_heads") == 2);
  CHECK(plain.config.at("intermediate_size") == 46);
  CHECK(plain.config.at("head_dim") == 8);
}

TEST_CASE("what cannot be made smaller so is refused") {
  Decoder v3 = test::small_decoder(test::v3_config());
  CHECK_THROWS_WITH(check_dense(v3),
                    "students are cut from llama, qwen2 and qwen3, whose layers are grouped "
                    "attention and a gated MLP; the model is deepseek_v3");
  PlainModel model = model_of("llama", false);
  CHECK_THROWS_WITH(principal_basis(model.decoder, 33, {}),
                    "narrow: hidden_size 32 cannot become 33");
  CHECK_THROWS_WITH(narrow(model, {.directions = at::eye(31, at::kDouble)}),
                    StartsWith("narrow: directions must be [D, D'] with D = 32, got [31, 31]"));
  add_gates(model.decoder, {UnitKind::kHeads});
  set_masks(model.decoder, UnitKind::kHeads, {{1, {true, false, true, true}}});
  cut(model.decoder, UnitKind::kHeads);
  CHECK_THROWS_WITH(plain_model(model.decoder, model.config),
                    "a plain model has equal layers: layer 0 has 4 heads, 2 key heads and 48 "
                    "channels, layer 1 3, 2 and 48");
  PlainModel adapted = model_of("llama", false);
  add_lora(adapted.decoder, {}, 1);
  CHECK_THROWS_WITH(check_dense(adapted.decoder),
                    "students are cut from whole models: merge the adapter first");
}

}  // namespace
}  // namespace hone::model
