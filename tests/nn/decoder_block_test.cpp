#include "hone/nn/decoder_block.h"

#include <torch/types.h>

#include "hone/nn/dense_block.h"
#include "nn/modules.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::nn {
namespace {

using test::gradient_error;
using test::relative_difference;

const AttentionOptions kAttention = {.dim = 12,
                                     .num_heads = 4,
                                     .num_kv_heads = 2,
                                     .head_dim = 6,
                                     .qkv_bias = true,
                                     .output_bias = true,
                                     .qk_norm = true};

at::Tensor rms(const at::Tensor& x, const at::Tensor& weight) {
  return weight * x / (x.square().mean(-1, true) + 1e-6).sqrt();
}

at::Tensor rotated(const at::Tensor& x, const AttentionContext& c) {
  const auto halves = x.chunk(2, -1);
  return x * c.cos.unsqueeze(1) + at::cat({-halves[1], halves[0]}, -1) * c.sin.unsqueeze(1);
}

/// One document, head by head, with an explicit mask.
at::Tensor naive(Attention& m, const at::Tensor& x, const AttentionContext& c) {
  const int64_t tokens = x.size(0);
  const at::Tensor q = rotated(rms(m->q_proj(x).view({tokens, 4, 6}), m->q_norm->weight), c);
  const at::Tensor k = rotated(rms(m->k_proj(x).view({tokens, 2, 6}), m->k_norm->weight), c);
  const at::Tensor v = m->v_proj(x).view({tokens, 2, 6});
  const at::Tensor future = at::ones({tokens, tokens}, at::kBool).triu(1);
  std::vector<at::Tensor> heads;
  for (int64_t h = 0; h < 4; ++h) {
    const at::Tensor scores = at::mm(q.select(1, h), k.select(1, h / 2).t())
                                  .div(std::sqrt(6.0))
                                  .masked_fill(future, -1e30);
    heads.push_back(at::mm(scores.softmax(-1), v.select(1, h / 2)));
  }
  return m->o_proj(at::cat(heads, 1));
}

TEST_CASE("Attention equals the plain formula, packed or alone") {
  Attention attention = randomised(Attention(kAttention, at::TensorOptions().dtype(at::kDouble)));
  const at::Tensor x = torch::randn({9, 12}, at::kDouble);
  const at::Tensor packed = attention(x, context({0, 5, 9}, at::kDouble));
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 5}, {5, 9}}) {
    const at::Tensor rows = x.slice(0, begin, end);
    const at::Tensor wanted = naive(attention, rows, context({0, end - begin}, at::kDouble));
    CHECK(relative_difference(packed.slice(0, begin, end), wanted) < 1e-10);
    CHECK(relative_difference(attention(rows, context({0, end - begin}, at::kDouble)), wanted) <
          1e-10);
  }
}

TEST_CASE("DecoderBlock: gradient, and no position sees a later one") {
  const DecoderBlockOptions options = {.attention = kAttention, .mlp = {.dim = 12, .hidden = 10}};
  DecoderBlock block = randomised(DecoderBlock(options, at::TensorOptions().dtype(at::kDouble)));
  const AttentionContext c = context({0, 3, 5}, at::kDouble);
  const at::Tensor x = torch::randn({5, 12}, at::kDouble);
  CHECK(gradient_error([&](const std::vector<at::Tensor>& in) { return block(in[0], c); }, {x}) ==
        "");
  at::Tensor changed = x.clone();
  changed[2] += 1;
  const at::Tensor difference = (block(changed, c) - block(x, c)).abs().sum(1);
  for (const int64_t same : {0, 1, 3, 4}) CHECK(difference[same].item<double>() == 0);
  CHECK(difference[2].item<double>() > 0);
}

TEST_CASE("Attention: dropout of its weights in training only") {
  AttentionOptions options = kAttention;
  options.dropout = 0.5;
  Attention attention = randomised(Attention(options, at::TensorOptions().dtype(at::kFloat)));
  const AttentionContext c = context({0, 5}, at::kFloat);
  const at::Tensor x = torch::randn({5, 12});
  CHECK_FALSE(at::equal(attention(x, c), attention(x, c)));
  attention->eval();
  CHECK(at::equal(attention(x, c), attention(x, c)));
}

TEST_CASE("Attention: heads that do not divide are named") {
  AttentionOptions options = kAttention;
  options.num_kv_heads = 3;
  CHECK_THROWS_WITH(Attention(options, at::TensorOptions()),
                    Catch::Contains("num_kv_heads must divide num_heads, got 3 and 4"));
}

TEST_CASE("Attention: what a step holds more of several documents, and of dropout") {
  AttentionOptions dropped = kAttention;
  dropped.dropout = 0.1;
  const auto footprint = [](const AttentionOptions& options, int64_t documents) {
    return Attention(options, at::TensorOptions())
        ->footprint({.documents = documents, .longest = 5});
  };
  const Footprint one = footprint(kAttention, 1), noisy = footprint(dropped, 1);
  CHECK(footprint(kAttention, 2).saved == one.saved + 4 * 6);  // the mix in the tokens' order
  // Three of 4 heads by 5 positions; keys and values of 2 heads more.
  CHECK(noisy.saved == one.saved + 3 * 4 * 5 + 2 * 2 * 6);
  CHECK(noisy.backward == one.backward + 2 * 4 * 5);
}

TEST_CASE("A branch with dropout holds its width more, kept and in the backward pass") {
  DecoderBlock block(DecoderBlockOptions{.attention = kAttention, .mlp = {.dim = 12, .hidden = 20}},
                     at::TensorOptions());
  const auto plain = block->footprints({.documents = 2, .longest = 5});
  block->branch_dropout = 0.5;
  const auto dropped = block->footprints({.documents = 2, .longest = 5});
  for (size_t i = 0; i < 2; ++i) {
    CHECK(dropped[i].saved == plain[i].saved + 12);
    CHECK(dropped[i].backward == plain[i].backward + 12);
  }
}

TEST_CASE("Dropout of the branches: none in eval mode, scaled in training, not of the stream") {
  const auto doubles = at::TensorOptions().dtype(at::kDouble);
  DecoderBlock block = randomised(DecoderBlock(
      DecoderBlockOptions{.attention = kAttention, .mlp = {.dim = 12, .hidden = 20}}, doubles));
  const at::Tensor x = torch::randn({7, 12}, at::kDouble);
  const auto c = context({0, 7}, at::kDouble);
  const at::Tensor plain = block(x, c).detach();
  block->branch_dropout = 0.5;
  block->eval();
  CHECK(at::equal(block(x, c), plain));
  block->train();
  torch::manual_seed(4);
  const at::Tensor h = x + at::dropout(block->self_attn(block->input_layernorm(x), c), 0.5, true);
  const at::Tensor wanted =
      h + at::dropout(block->mlp(block->post_attention_layernorm(h), at::Tensor()), 0.5, true);
  torch::manual_seed(4);
  CHECK(at::equal(block(x, c), wanted));
  CHECK_FALSE(at::equal(wanted, plain));
}

}  // namespace
}  // namespace hone::nn
