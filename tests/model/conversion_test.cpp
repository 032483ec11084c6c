#include "hone/model/sharing/conversion.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/model/adapter.h"
#include "hone/model/cost.h"
#include "hone/model/memory.h"
#include "hone/model/pruned/pruning.h"
#include "hone/nn/attention.h"
#include "hone/nn/norm.h"
#include "hone/optim/adamw.h"
#include "model/support.h"
#include "support/catch.h"

namespace hone::model {
namespace {

using Catch::Contains;
using test::loss_of;
using test::random_input;
using test::small_config;

Json config_of(const char* type) {
  Json config = small_config(type);
  config["num_hidden_layers"] = 4;
  config["num_attention_heads"] = 6;
  config["num_key_value_heads"] = 3;
  return config;
}

/// In float64, norms and biases at random too.
Decoder random_decoder(const char* type, uint64_t seed = 1) {
  const DecoderConfig config = DecoderConfig::from_json(config_of(type), "test");
  Decoder decoder = make_decoder(config, at::kCPU, at::kDouble);
  decoder->initialise(seed);
  const torch::NoGradGuard no_grad;
  torch::manual_seed(static_cast<int64_t>(seed));
  for (const nn::ModuleTensor& own : decoder->tensors()) {
    if (own.start) {
      own.tensor.uniform_(0.5, 1.5);
    } else {
      own.tensor.mul_(10);
    }
  }
  return decoder;
}

nn::AttentionImpl& attention(const Decoder& decoder, size_t layer) {
  return dynamic_cast<nn::AttentionImpl&>(*nn::Mixer(decoder->layers[layer]->self_attn));
}

at::Tensor logits(Decoder& decoder) {
  const torch::NoGradGuard no_grad;
  return decoder->logits(decoder->hidden(random_input({9, 5}, 40)));
}

double difference(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

/// Makes layer 2's attention that of layer 1 with its heads moved, in another gauge (only phases
/// where heads are normed), and its norm's scale elsewhere.
void copy_in_other_gauge(Decoder& decoder) {
  const torch::NoGradGuard no_grad;
  nn::AttentionImpl &from = attention(decoder, 1), &to = attention(decoder, 2);
  const auto norm_of = [&](size_t layer) -> at::Tensor {
    return dynamic_cast<nn::RmsNormImpl&>(*nn::Norm(decoder->layers[layer]->input_layernorm))
        .weight;
  };
  const at::Tensor kv = torch::tensor({2, 0, 1}), heads = torch::tensor({5, 4, 0, 1, 3, 2});
  const at::Tensor factor = norm_of(1) / norm_of(2);
  const bool normed = from.options.qk_norm;
  const auto moved = [](const at::Tensor& rows, const at::Tensor& order) {
    return rows.unflatten(0, {-1, 8}).index_select(0, order);  // [heads, 8, ...]
  };
  at::Tensor a = torch::randn({3, 4}, at::kComplexDouble);
  if (normed) a = a / a.abs();
  const auto turned = [](const at::Tensor& heads_e, at::Tensor by) {
    const auto halves = heads_e.chunk(2, 1);
    while (by.dim() < heads_e.dim()) by = by.unsqueeze(-1);
    const at::Tensor rows = at::complex(halves[0].contiguous(), halves[1].contiguous()) * by;
    return at::cat({at::real(rows), at::imag(rows)}, 1).flatten(0, 1);
  };
  const auto copy = [&](nn::Linear source, nn::Linear target, const auto& change) {
    target->weight.copy_(change(source->weight) * factor);
    if (source->bias.defined()) target->bias.copy_(change(source->bias));
  };
  copy(from.q_proj, to.q_proj,
       [&](const at::Tensor& x) { return turned(moved(x, heads), a.repeat_interleave(2, 0)); });
  copy(from.k_proj, to.k_proj,
       [&](const at::Tensor& x) { return turned(moved(x, kv), 1 / at::conj(a)); });
  copy(from.v_proj, to.v_proj, [&](const at::Tensor& x) { return moved(x, kv).flatten(0, 1); });
  to.o_proj->weight.copy_(
      from.o_proj->weight.unflatten(1, {-1, 8}).index_select(1, heads).flatten(1));
  if (normed) {
    for (auto* layer : {&from, &to}) {
      layer->q_norm->weight.fill_(1.2);
      layer->k_norm->weight.fill_(0.8);
    }
  }
}

TEST_CASE("Norms folded and heads ordered, a decoder computes the same") {
  const char* type = GENERATE("llama", "qwen2", "qwen3");
  Decoder decoder = random_decoder(type);
  const at::Tensor before = logits(decoder);
  const at::Tensor rows = attention(decoder, 2).q_proj->weight.clone();
  fold_input_norm(decoder->layers[2]);
  CHECK(difference(logits(decoder), before) < 1e-12);
  CHECK_FALSE(attention(decoder, 2).q_proj->weight.equal(rows));
  order_heads(decoder->layers[2], decoder->layers[1]);
  CHECK(difference(logits(decoder), before) < 1e-12);
}

TEST_CASE("Layers whose attention is one in different gauges share it without a loss") {
  const char* type = GENERATE("llama", "qwen2", "qwen3");
  Decoder decoder = random_decoder(type), mean = random_decoder(type);
  copy_in_other_gauge(decoder);
  torch::manual_seed(1);
  const at::Tensor before = logits(decoder);
  share_weights(decoder, {{1, 2}});
  CHECK(difference(logits(decoder), before) < 1e-10);
  CHECK(attention(decoder, 1).q_proj.get() == attention(decoder, 2).q_proj.get());
  CHECK(decoder->config().sharing == LayerGroups{{1, 2}});

  copy_in_other_gauge(mean);
  const at::Tensor mean_before = logits(mean);
  share_weights(mean, {{1, 2}}, SharedStart::kMean);
  CHECK(difference(logits(mean), mean_before) > 1e-2);
}

TEST_CASE("What is shared is one parameter, which learns from all its layers") {
  Decoder decoder = random_decoder("qwen2");
  const int64_t before = nn::numel(*decoder);
  const nn::AttentionImpl& first = attention(decoder, 0);
  const int64_t own = nn::numel(*first.q_proj) + nn::numel(*first.k_proj);
  const int64_t flops = Cost(decoder).token_flops(10);
  share_weights(decoder, {{0, 1, 3}});
  CHECK(nn::numel(*decoder) == before - 2 * own);
  CHECK(Cost(decoder->config()).parameters() == before - 2 * own);
  CHECK(Cost(decoder).token_flops(10) == flops);
  CHECK(std::ssize(decoder->parameters()) == std::ssize(trainable_parameters(decoder)));

  const MemoryRequest request{.tokens_per_batch = 16};
  DecoderConfig unshared = decoder->config();
  unshared.sharing.clear();
  const MemoryPlan shared = predict_memory(decoder->config(), request);
  const MemoryPlan whole = predict_memory(unshared, request);
  CHECK(whole.weights - shared.weights == 4 * 2 * own);
  CHECK(shared.copies == 4 * 2 * own);
  CHECK(whole.gradients - shared.gradients == 4 * 2 * own);
  CHECK(whole.optimizer_states - shared.optimizer_states == 8 * 2 * own);

  // The gradient of one that is shared is the sum of what its copies would get.
  Decoder copies = make_decoder(unshared, at::kCPU, at::kDouble);
  {
    const torch::NoGradGuard no_grad;
    const NamedTensors from = decoder->base_tensors();
    const std::map<std::string, at::Tensor> values(from.begin(), from.end());
    for (const auto& [name, tensor] : copies->base_tensors()) tensor.copy_(values.at(name));
  }
  const DecoderInput input = random_input({9, 5}, 40);
  loss_of(decoder, input).backward();
  loss_of(copies, input).backward();
  for (const char* name : {"q_proj", "k_proj"}) {
    at::Tensor sum;
    for (const size_t layer : {0, 1, 3}) {
      nn::AttentionImpl& each = attention(copies, layer);
      const at::Tensor grad =
          (std::string(name) == "q_proj" ? each.q_proj : each.k_proj)->weight.grad();
      sum = sum.defined() ? sum + grad : grad;
    }
    const nn::Linear& one = std::string(name) == "q_proj" ? first.q_proj : first.k_proj;
    CHECK(difference(one->weight.grad(), sum) < 1e-12);
  }
}

TEST_CASE("Recomputed blocks give a shared decoder the same gradients to the bit") {
  Decoder plain = random_decoder("qwen3"), again = random_decoder("qwen3");
  const DecoderInput input = random_input({9, 5}, 40);
  for (Decoder* decoder : {&plain, &again}) {
    share_weights(*decoder, {{1, 2}});
    (*decoder)->set_checkpointing(decoder == &again ? 1 : 0);
    loss_of(*decoder, input).backward();
  }
  const auto a = plain->named_parameters(), b = again->named_parameters();
  for (const auto& item : a) CHECK(item.value().grad().equal(b[item.key()].grad()));
}

TEST_CASE("What cannot share is refused by name") {
  Decoder decoder = random_decoder("llama");
  CHECK_THROWS_WITH(share_weights(decoder, {{1, 4}}), Contains("0/1: must be in [0, 4)"));
  share_weights(decoder, {{1, 2}});
  CHECK_THROWS_WITH(share_weights(decoder, {{0, 3}}), Contains("share already"));
  CHECK_THROWS_WITH(add_gates(decoder, {UnitKind::kHeads}), Contains("share q_proj and k_proj"));
  CHECK_THROWS_WITH(add_lora(decoder, {.targets = {"q_proj", "v_proj"}}, 1),
                    Contains("layers share model.layers.1.self_attn.q_proj") &&
                        Contains("leave q_proj and k_proj out of lora.targets"));
  add_lora(decoder, {.targets = {"v_proj", "down_proj"}}, 1);

  Decoder latent = test::small_decoder(test::v3_config());
  CHECK_THROWS_WITH(share_weights(latent, {{1, 2}}),
                    Contains("sharing: layer 1: only grouped-query attention"));
  CHECK_THROWS_WITH(latent->share_projections({{1, 2}}), Contains("only layers of grouped-query"));
}

}  // namespace
}  // namespace hone::model
