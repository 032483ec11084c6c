#include "hone/model/decoder.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "hone/nn/attention.h"
#include "model/support.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::model {
namespace {

using test::loss_of;
using test::random_input;
using test::small_config;
using test::small_decoder;

TEST_CASE("Decoder: tensors have the checkpoint's names") {
  Json config = small_config("qwen3");
  NamedTensors tensors = small_decoder(config)->hf_tensors();
  CHECK(tensors.front().first == "model.embed_tokens.weight");
  CHECK(tensors.back().first == "lm_head.weight");
  CHECK(tensors.size() == 3 + 3 * 11);
  const auto has = [&](const char* name) {
    return std::any_of(tensors.begin(), tensors.end(),
                       [&](const auto& t) { return t.first == name; });
  };
  CHECK(has("model.layers.2.self_attn.k_norm.weight"));
  CHECK(has("model.norm.weight"));
  config["tie_word_embeddings"] = true;
  tensors = small_decoder(config)->hf_tensors();
  CHECK_FALSE(has("lm_head.weight"));
}

TEST_CASE("Decoder: the families' initialisation, equal for equal seeds") {
  Json config = small_config("qwen2");
  config["initializer_range"] = 0.5;
  const Decoder a = small_decoder(config, 3), b = small_decoder(config, 3),
                c = small_decoder(config, 4);
  CHECK(at::equal(a->lm_weight(), b->lm_weight()));
  CHECK_FALSE(at::equal(a->lm_weight(), c->lm_weight()));
  CHECK(a->lm_weight().std().item<double>() == Approx(0.5).epsilon(0.1));
  CHECK(at::equal(a->norm->parameters().front(), at::ones({32})));
  CHECK(at::equal(a->layers[1]->self_attn->as<nn::AttentionImpl>()->q_proj->bias, at::zeros({32})));
}

TEST_CASE("Decoder: NEFTune's noise in training only, bit-equal from the same generator state") {
  Decoder decoder = small_decoder();
  const DecoderInput input = random_input({9, 7, 8}, 40);
  const at::Tensor plain = decoder->hidden(input);
  decoder->embed_tokens->set_noise(5);
  torch::manual_seed(3);
  const at::Tensor noisy = decoder->hidden(input);
  CHECK_FALSE(at::equal(noisy, plain));
  torch::manual_seed(3);
  CHECK(at::equal(decoder->hidden(input), noisy));
  decoder->eval();
  CHECK(at::equal(decoder->hidden(input), plain));
}

TEST_CASE("Decoder: checkpointed blocks give bit-equal gradients with dropout on") {
  Json config = small_config();
  config["attention_dropout"] = 0.3;
  const DecoderInput input = random_input({9, 7, 8}, 40);
  std::vector<at::Tensor> wanted;
  for (const int64_t every : {0, 1, 2}) {
    Decoder decoder = small_decoder(config);
    decoder->set_checkpointing(every);
    torch::manual_seed(1);
    loss_of(decoder, input).backward();
    std::vector<at::Tensor> grads;
    for (const auto& [name, tensor] : decoder->hf_tensors()) grads.push_back(tensor.grad());
    if (wanted.empty()) wanted = grads;
    for (size_t i = 0; i < grads.size(); ++i) CHECK(at::equal(grads[i], wanted[i]));
  }
  CHECK_THROWS_WITH(small_decoder()->set_checkpointing(-1), Catch::Contains("checkpoint_every"));
}

TEST_CASE("Decoder: the input may go before the backward pass runs") {
  Decoder decoder = small_decoder();
  decoder->set_checkpointing(1);
  at::Tensor loss;
  {
    const DecoderInput input = random_input({9, 7}, 40);
    loss = decoder->hidden(input).square().sum();
  }
  loss.backward();
  CHECK(decoder->embed_tokens->weight.grad().defined());
}

TEST_CASE("Decoder: misshapen input is named") {
  Decoder decoder = small_decoder();
  const auto run = [&](auto change) {
    DecoderInput input = random_input({4, 4}, 40);
    change(input);
    return decoder->hidden(input);
  };
  CHECK_THROWS_WITH(run([](DecoderInput& in) { in.ids = in.ids.view({2, 4}); }),
                    Catch::Contains("ids must be int64 [T]"));
  CHECK_THROWS_WITH(run([](DecoderInput& in) { in.positions = in.positions.slice(0, 0, 3); }),
                    Catch::Contains("positions must be int64 [T] with T = 8"));
  CHECK_THROWS_WITH(run([](DecoderInput& in) {
                      in.segments = kernels::Sequences::from_offsets({0, 5}, at::kCPU);
                    }),
                    Catch::Contains("segments must cover the T = 8 ids"));
}

}  // namespace
}  // namespace hone::model
