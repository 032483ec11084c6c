#include "hone/nn/hyper_connection.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "hone/kernels/sinkhorn.h"
#include "hone/nn/attention.h"
#include "hone/nn/checkpointing.h"
#include "hone/nn/decoder_block.h"
#include "hone/nn/mlp.h"
#include "nn/modules.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::nn {
namespace {

using Catch::Contains;
using test::relative_difference;

const auto kDouble = at::TensorOptions().dtype(at::kDouble);
const HyperConnectionOptions kOptions = {.dim = 6, .streams = 3, .iterations = 4};

at::Tensor branch(const at::Tensor& x) { return (x * 3).tanh(); }

/// Of one token's streams [m, D], written out.
at::Tensor plain(const HyperConnection& c, const at::Tensor& x) {
  const int64_t m = x.size(0);
  const at::Tensor flat = x.flatten() / (x.square().mean() + c->options.norm_eps).sqrt();
  const at::Tensor z = c->fn.mv(flat);
  const auto part = [&](int64_t i, int64_t begin, int64_t end) {
    return z.slice(0, begin, end) * c->scale[i] + c->base.slice(0, begin, end);
  };
  const at::Tensor pre = part(0, 0, m).sigmoid() + c->options.eps;
  const at::Tensor post = 2 * part(1, m, 2 * m).sigmoid();
  const at::Tensor comb = kernels::sinkhorn(part(2, 2 * m, (2 + m) * m).view({m, m}),
                                            c->options.iterations, c->options.eps);
  const at::Tensor out = branch((pre.unsqueeze(1) * x).sum(0));
  std::vector<at::Tensor> streams;
  for (int64_t k = 0; k < m; ++k) {
    streams.push_back(post[k] * out + (comb.select(1, k).unsqueeze(1) * x).sum(0));
  }
  return at::stack(streams);
}

TEST_CASE("HyperConnection: each token by itself, and its gradient") {
  HyperConnection connection = randomised(HyperConnection(kOptions, kDouble));
  const at::Tensor x = at::randn({5, 3, 6}, kDouble);
  const at::Tensor y = connection(x, branch);
  for (int64_t t = 0; t < 5; ++t) CHECK(relative_difference(y[t], plain(connection, x[t])) < 1e-13);
  const auto of_input = [&](const std::vector<at::Tensor>& in) {
    return connection(in[0], branch);
  };
  CHECK(test::gradient_error(of_input, {x}) == "");
  const auto of_parameters = [&](const std::vector<at::Tensor>& in) {
    HyperConnection other(kOptions, kDouble);
    other->fn = in[0];
    other->base = in[1];
    other->scale = in[2];
    return other(x, branch);
  };
  CHECK(test::gradient_error(of_parameters,
                             {connection->fn, connection->base, connection->scale}) == "");
}

TEST_CASE("HyperHead: the weighed sum of the streams, and its gradient") {
  HyperHead head = randomised(HyperHead(kOptions, kDouble));
  const at::Tensor x = at::randn({5, 3, 6}, kDouble);
  const at::Tensor y = head(x);
  for (int64_t t = 0; t < 5; ++t) {
    const at::Tensor flat = x[t].flatten() / (x[t].square().mean() + 1e-6).sqrt();
    const at::Tensor weights = (head->hc_fn.mv(flat) * head->hc_scale + head->hc_base).sigmoid();
    CHECK(relative_difference(y[t], ((weights + 1e-6).unsqueeze(1) * x[t]).sum(0)) < 1e-13);
  }
  CHECK(test::gradient_error([&](const std::vector<at::Tensor>& in) { return head(in[0]); }, {x}) ==
        "");
}

TEST_CASE("What weighs streams is float32 beside half types; shapes are named") {
  const auto half = at::TensorOptions().dtype(at::kBFloat16);
  HyperConnection connection = randomised(HyperConnection(kOptions, half));
  HyperHead head = randomised(HyperHead(kOptions, half));
  const at::Tensor x = at::randn({5, 3, 6}).to(at::kBFloat16);
  CHECK(connection->fn.scalar_type() == at::kFloat);
  CHECK(connection(x, branch).scalar_type() == at::kBFloat16);
  CHECK(head(x).scalar_type() == at::kBFloat16);
  CHECK_THROWS_WITH(connection(x[0], branch),
                    Contains("HyperConnection: x must be [T, m, D] = [T, 3, 6], got [3, 6]"));
  CHECK_THROWS_WITH(head(x.transpose(1, 2)), Contains("HyperHead: x must be"));
  const auto own = head->own_tensors();
  CHECK(own[1].start == 0.);
  CHECK(own[2].start == 1.);
}

TEST_CASE("A block with hyper-connections: recomputed to the bit, and gated as a whole") {
  const auto floats = at::TensorOptions();
  const AttentionOptions attention = {.dim = 6, .num_heads = 1, .num_kv_heads = 1, .head_dim = 6};
  const auto connection = [&] { return HyperConnection(kOptions, floats); };
  DecoderBlock block = randomised(
      DecoderBlock(6, DecoderBlockParts{.input_layernorm = RmsNorm(6, 1e-6, floats),
                                        .self_attn = Attention(attention, floats),
                                        .post_attention_layernorm = RmsNorm(6, 1e-6, floats),
                                        .mlp = Mlp(MlpOptions{.dim = 6, .hidden = 10}, floats),
                                        .attn_hc = connection(),
                                        .ffn_hc = connection()}));
  block->branch_dropout = 0.4;
  CHECK(block->width() == 18);
  const AttentionContext c = context({0, 4, 9}, at::kFloat);
  const auto gradients = [&](bool again) {
    torch::manual_seed(8);
    block->zero_grad();
    at::Tensor x = at::randn({9, 3, 6}).requires_grad_();
    const Block run = [&](const at::Tensor& in) { return block(in, c); };
    const at::Tensor y = again ? checkpoint(run, x) : run(x);
    y.square().sum().backward();
    std::vector<at::Tensor> all = {y, x.grad()};
    for (const at::Tensor& parameter : block->parameters()) all.push_back(parameter.grad().clone());
    return all;
  };
  const auto kept = gradients(false), made_again = gradients(true);
  for (size_t i = 0; i < kept.size(); ++i) CHECK(kept[i].equal(made_again[i]));

  block->add_gate();
  const auto gated = gradients(false);
  CHECK(gated[0].equal(kept[0]));
  block->gate->set_mask({false});
  const at::Tensor x = at::randn({9, 3, 6});
  CHECK(block(x, c).equal(x));
  block->gate->measure(Importance::kOutputNorm);
  block(x.clone().requires_grad_(), c).sum().backward();
  CHECK(block->gate->batches() == 1);
}

}  // namespace
}  // namespace hone::nn
