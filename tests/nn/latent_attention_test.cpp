#include "hone/nn/latent_attention.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "nn/modules.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::nn {
namespace {

using test::relative_difference;

constexpr int64_t kDim = 12;
const auto kDouble = at::TensorOptions().dtype(at::kDouble);

LatentAttention attention(int64_t query_rank = 7) {
  return randomised(LatentAttention(LatentAttentionOptions{.dim = kDim,
                                                           .num_heads = 3,
                                                           .query_rank = query_rank,
                                                           .latent = 8,
                                                           .plain = 5,
                                                           .rotary = 4,
                                                           .value = 6,
                                                           .bias = query_rank > 0,
                                                           .scale = 0.3},
                                    kDouble));
}

/// The formula for one document, head by head. x [T, D].
at::Tensor plain(LatentAttention& module, const at::Tensor& x) {
  const LatentAttentionOptions& o = module->options;
  const int64_t tokens = x.size(0);
  const AttentionContext c = context({0, tokens}, at::kDouble, o.rotary);
  const auto rotated = [&](const at::Tensor& heads) {
    return kernels::apply_rotary(heads, c.cos, c.sin, o.pairs);
  };
  const at::Tensor in = module->q_proj
                            ? module->q_proj(x)
                            : module->q_b_proj(module->q_a_layernorm(module->q_a_proj(x)));
  const at::Tensor q = in.view({tokens, o.num_heads, -1});
  const at::Tensor both = module->kv_a_proj_with_mqa(x);
  const at::Tensor shared = rotated(both.slice(1, o.latent).unsqueeze(1)).squeeze(1);
  const at::Tensor kv = module->kv_b_proj(module->kv_a_layernorm(both.slice(1, 0, o.latent)))
                            .view({tokens, o.num_heads, -1});
  std::vector<at::Tensor> heads;
  for (int64_t h = 0; h < o.num_heads; ++h) {
    const at::Tensor turned = rotated(q.slice(2, o.plain)).select(1, h);
    const at::Tensor scores =
        at::mm(q.select(1, h).slice(1, 0, o.plain), kv.select(1, h).slice(1, 0, o.plain).t()) +
        at::mm(turned, shared.t());
    const at::Tensor later = at::ones({tokens, tokens}, at::kBool).triu(1);
    heads.push_back(at::mm((scores * o.scale).masked_fill(later, -INFINITY).softmax(-1),
                           kv.select(1, h).slice(1, o.plain)));
  }
  return module->o_proj(at::cat(heads, 1));
}

TEST_CASE("LatentAttention equals its formula, and its gradient") {
  for (const int64_t query_rank : {0, 7}) {
    LatentAttention module = attention(query_rank);
    const at::Tensor x = at::randn({9, kDim}, kDouble);
    const at::Tensor wanted =
        at::cat({plain(module, x.slice(0, 0, 4)), plain(module, x.slice(0, 4))});
    const AttentionContext packed = context({0, 4, 9}, at::kDouble, 4);
    CHECK(relative_difference(module(x, packed), wanted) < 1e-13);
    const auto f = [&](const std::vector<at::Tensor>& in) { return module(in[0], packed); };
    CHECK(test::gradient_error(f, {x}) == "");
  }
}

TEST_CASE("LatentAttention: from a cache it computes what it computes without") {
  LatentAttention module = attention();
  module->eval();
  module->kv_b_proj->add_lora({.rank = 2, .scale = 0.7}, at::detail::createCPUGenerator(3));
  const torch::NoGradGuard no_grad;
  module->kv_b_proj->lora_B.normal_();
  CHECK(module->cache_shape() == CacheShape{{1, 12}});
  const at::Tensor x = at::randn({7, kDim}, kDouble);
  const AttentionContext whole = context({0, 7}, at::kDouble, 4);
  const at::Tensor wanted = module(x, whole);
  CHECK(relative_difference(in_passes(module, x, whole, {3, 4, 7}), wanted) < 1e-12);
}

TEST_CASE("LatentAttention: heads switched off and heads cut give the same") {
  LatentAttention module = attention();
  module->add_gate();
  module->gate->set_mask({true, false, true});
  const at::Tensor x = at::randn({6, kDim}, kDouble);
  const AttentionContext packed = context({0, 6}, at::kDouble, 4);
  const at::Tensor masked = module(x, packed);
  CHECK(module->cut_units({0, 2}).size() == 3);
  CHECK(module->units() == 2);
  CHECK(module->q_b_proj->options.out == 2 * 9);
  CHECK(module->kv_b_proj->options.out == 2 * 11);
  CHECK(module->o_proj->options.in == 2 * 6);
  CHECK(relative_difference(module(x, packed), masked) < 1e-13);
}

TEST_CASE("LatentAttention: flops") {
  const int64_t weights = kDim * 7 + 7 * 27 + kDim * 12 + 8 * 33 + 18 * kDim;
  CHECK(attention()->flops(10) == 2 * weights + 2 * 3 * (9 + 6) * 10);
}

}  // namespace
}  // namespace hone::nn
