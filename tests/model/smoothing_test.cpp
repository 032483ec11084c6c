#include "hone/model/smoothing.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/model/adapter.h"
#include "hone/model/quantised_layers.h"
#include "hone/model/rounding_quality.h"
#include "hone/nn/attention.h"
#include "hone/nn/mlp.h"
#include "hone/nn/norm.h"
#include "model/support.h"
#include "support/catch.h"

namespace hone::model {
namespace {

using Catch::Contains;
using test::random_input;
using test::small_config;
using test::small_decoder;
using test::v3_config;

at::Tensor logits(Decoder& decoder, const DecoderInput& input) {
  const torch::NoGradGuard no_grad;
  return decoder->logits(decoder->hidden(input));
}

/// No number is at its neutral initial value, biases included.
Decoder stirred(const Json& config) {
  Decoder decoder = small_decoder(config);
  const torch::NoGradGuard no_grad;
  at::manual_seed(2);
  for (at::Tensor& parameter : decoder->parameters()) {
    if (parameter.requires_grad()) parameter.add_(0.2 * at::randn_like(parameter));
  }
  return decoder;
}

Smoothed smoothed(Decoder& decoder, const DecoderInput& text, double alpha = 0.5) {
  return smooth(decoder, alpha, [&] { decoder->hidden(text); });
}

TEST_CASE("smooth: the logits of every family stay what they were") {
  Json biased = small_config(), tied = small_config("qwen3"), one_head = small_config("qwen2");
  biased.update({{"attention_bias", true}, {"mlp_bias", true}});
  tied["tie_word_embeddings"] = true;
  one_head["num_key_value_heads"] = 1;
  Json no_rank = v3_config();
  no_rank.erase("q_lora_rank");
  no_rank["model_type"] = "deepseek_v2";
  no_rank["q_lora_rank"] = nullptr;
  for (const Json& config : {biased, tied, one_head, v3_config(), no_rank}) {
    INFO(config.dump());
    Decoder decoder = stirred(config);
    const DecoderInput input = random_input({20, 9}, 40);
    const at::Tensor before = logits(decoder, input);
    const at::Tensor weight = block_linears(*decoder).front().layer->weight.clone();
    const Smoothed done = smoothed(decoder, input);
    const at::Tensor after = logits(decoder, input);
    CHECK((after - before).abs().max().item<double>() < 1e-5 * before.abs().max().item<double>());
    CHECK(done.folds >= 3 * 2);
    CHECK_FALSE(at::equal(weight, block_linears(*decoder).front().layer->weight));
    CHECK(block_linears(*decoder).front().layer->watch == nullptr);
  }
}

TEST_CASE("smooth: a fold is the formula's") {
  Decoder decoder = stirred(small_config());
  const DecoderInput input = random_input({30}, 40);
  auto* mlp = dynamic_cast<nn::MlpImpl*>(decoder->layers[1]->mlp.get());
  at::Tensor seen;
  mlp->gate_proj->watch = [&](const at::Tensor& x) { seen = x; };
  logits(decoder, input);
  const at::Tensor gate = mlp->gate_proj->weight.clone(), up = mlp->up_proj->weight.clone();
  auto* norm = dynamic_cast<nn::RmsNormImpl*>(decoder->layers[1]->post_attention_layernorm.get());
  const at::Tensor scale = norm->weight.clone();
  smoothed(decoder, input, 0.8);
  const at::Tensor range = std::get<0>(seen.max(0)) - std::get<0>(seen.min(0));
  const at::Tensor largest =
      at::maximum(std::get<0>(gate.abs().max(0)), std::get<0>(up.abs().max(0)));
  const at::Tensor s = range.pow(0.8) / (2 * largest).pow(0.2);
  CHECK(at::allclose(mlp->gate_proj->weight, gate * s));
  CHECK(at::allclose(norm->weight, scale / s));
}

TEST_CASE("smooth: a model with outliers rounds far better") {
  Decoder decoder = stirred(small_config());
  {
    const torch::NoGradGuard no_grad;
    for (nn::DecoderBlock& block : decoder->layers) {
      auto* attention = dynamic_cast<nn::AttentionImpl*>(block->self_attn.get());
      auto* mlp = dynamic_cast<nn::MlpImpl*>(block->mlp.get());
      const auto plant = [](nn::NormImpl* norm, const std::vector<nn::Linear>& readers) {
        dynamic_cast<nn::RmsNormImpl*>(norm)->weight.slice(0, 3, 5).mul_(200);
        for (const nn::Linear& reader : readers) reader->weight.slice(1, 3, 5).div_(200);
      };
      plant(block->input_layernorm.get(),
            {attention->q_proj, attention->k_proj, attention->v_proj});
      plant(block->post_attention_layernorm.get(), {mlp->gate_proj, mlp->up_proj});
    }
  }
  const DecoderInput input = random_input({60, 40}, 40);
  const auto divergence = [&] {
    const torch::NoGradGuard no_grad;
    RoundingQuality quality;
    const at::Tensor exact = decoder->hidden(input);
    set_rounding(*decoder, QuantisedLayers{});
    quality.add(exact, decoder->hidden(input), decoder->lm_weight());
    set_rounding(*decoder, std::nullopt);
    return quality.mean_divergence();
  };
  const double before = divergence();
  smoothed(decoder, input);
  CHECK(divergence() < before / 10);
}

TEST_CASE("smooth: what is left as it is has a name, and what cannot be is refused") {
  Decoder decoder = stirred(v3_config());
  const DecoderInput input = random_input({30}, 40);
  const std::vector<std::string> left = smoothed(decoder, input).left;
  const auto has = [&](const char* name) {
    return std::find(left.begin(), left.end(), std::string("model.layers.1.") + name) != left.end();
  };
  CHECK(has("self_attn.kv_b_proj"));
  CHECK(has("self_attn.o_proj"));
  CHECK(has("mlp.shared_experts.gate_proj"));
  CHECK_FALSE(has("mlp.shared_experts.down_proj"));
  CHECK_FALSE(has("self_attn.q_b_proj"));
  add_lora(decoder, {}, 1);
  CHECK_THROWS_WITH(smoothed(decoder, input), Contains("carries an adapter"));
  Decoder integers = small_decoder();
  quantise_decoder(*integers, {});
  CHECK_THROWS_WITH(smoothed(integers, input), Contains("holds integers"));
}

}  // namespace
}  // namespace hone::model
