#include "hone/nn/compressed_attention.h"

#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "hone/nn/checkpointing.h"
#include "nn/modules.h"
#include "support/allocations.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::nn {
namespace {

using Catch::Matchers::Contains;
using test::relative_difference;

constexpr int64_t kDim = 12;
const auto kDouble = at::TensorOptions().dtype(at::kDouble);

CompressedAttentionOptions options(int64_t ratio, int64_t chosen) {
  return {.hidden_size = kDim,
          .num_heads = 4,
          .head_dim = 6,
          .q_rank = 7,
          .o_groups = 2,
          .o_rank = 3,
          .window = 3,
          .ratio = ratio,
          // Many heads: scores of few are often all 0, and which of these are best depends on how
          // many there are.
          .index = {.heads = 24, .width = 4, .chosen = chosen},
          .rope = {.head_dim = 4}};
}

/// Each kind of layer: a window alone, chosen entries that overlap, all entries.
std::vector<CompressedAttention> kinds() {
  std::vector<CompressedAttention> all;
  for (const CompressedAttentionOptions& o : {options(0, 0), options(2, 2), options(4, 0)}) {
    all.push_back(randomised(CompressedAttention(o, kDouble)));
    for (at::Tensor& buffer : all.back()->buffers()) buffer.normal_(0.1, 0.5);
  }
  return all;
}

TEST_CASE("CompressedAttention: packed documents are as each alone, and so is the gradient") {
  const at::Tensor x = at::randn({90, kDim}, kDouble);
  const std::vector<int64_t> offsets = {0, 1, 4, 75, 90};
  for (CompressedAttention& module : kinds()) {
    std::vector<at::Tensor> alone;
    for (size_t d = 0; d + 1 < offsets.size(); ++d) {
      alone.push_back(module(x.slice(0, offsets[d], offsets[d + 1]),
                             context({0, offsets[d + 1] - offsets[d]}, at::kDouble)));
    }
    CHECK(relative_difference(module(x, context(offsets, at::kDouble)), at::cat(alone)) < 1e-13);
    const AttentionContext packed = context({0, 2, 13}, at::kDouble);
    const auto f = [&](const std::vector<at::Tensor>& in) { return module(in[0], packed); };
    CHECK(test::gradient_error(f, {x.slice(0, 0, 13)}) == "");
  }
}

TEST_CASE("CompressedAttention: computed again, with dropout, it has the same gradients") {
  const at::Tensor x = at::randn({50, kDim}, kDouble).set_requires_grad(true);
  const AttentionContext packed = context({0, 17, 50}, at::kDouble);
  for (CompressedAttention& module : kinds()) {
    module->options.dropout = 0.3;
    std::vector<at::Tensor> inputs = module->parameters();
    inputs.push_back(x);
    const Block block = [&](const at::Tensor& in) { return module(in, packed); };
    const auto grads = [&](const auto& forward) {
      torch::manual_seed(6);
      return torch::autograd::grad({forward(x).sum()}, inputs);
    };
    const auto plain = grads(block);
    const auto again = grads([&](const at::Tensor& in) { return checkpoint(block, in); });
    for (size_t i = 0; i < plain.size(); ++i) CHECK(at::equal(plain[i], again[i]));
  }
}

TEST_CASE("CompressedAttention: from a cache it computes what it computes without") {
  const torch::NoGradGuard no_grad;
  const at::Tensor x = at::randn({90, kDim}, kDouble);
  const AttentionContext whole = context({0, 90}, at::kDouble);
  for (CompressedAttention& module : kinds()) {
    module->eval();
    const at::Tensor wanted = module(x, whole);
    std::vector<int64_t> singly(90);
    for (int64_t i = 0; i < 90; ++i) singly[i] = i + 1;
    for (const std::vector<int64_t>& ends :
         {std::vector<int64_t>{90}, {1, 2, 3, 4, 5, 6, 7, 8, 90}, {71, 72, 80, 90}, singly}) {
      CHECK(relative_difference(in_passes(module, x, whole, ends), wanted) < 1e-12);
    }
  }
}

TEST_CASE("CompressedAttention: rows of a cache that are of unlike lengths go on together") {
  const torch::NoGradGuard no_grad;
  const at::Tensor a = at::randn({40, kDim}, kDouble), b = at::randn({40, kDim}, kDouble);
  for (CompressedAttention& module : kinds()) {
    module->eval();
    const AttentionContext whole = context({0, 40}, at::kDouble);
    const at::Tensor wanted_a = module(a, whole), wanted_b = module(b, whole);
    LayerCache cache = empty_cache(module->cache_shape(), 3, 40, kDouble);
    int64_t at_a = 0, at_b = 0;
    for (const auto& [end_a, end_b] :
         {std::pair<int64_t, int64_t>{1, 22}, {2, 23}, {9, 24}, {10, 40}}) {
      cache.places = {.first_row = 1,
                      .past = {at_a, at_b},
                      .slots = at::cat({at::arange(40 + at_a, 40 + end_a, at::kLong),
                                        at::arange(80 + at_b, 80 + end_b, at::kLong)}),
                      .lengths = torch::tensor({end_a, end_b}, at::kLong)};
      AttentionContext part = context({0, end_a - at_a, end_a - at_a + end_b - at_b}, at::kDouble);
      part.cache = &cache;
      const at::Tensor y =
          module(at::cat({a.slice(0, at_a, end_a), b.slice(0, at_b, end_b)}), part);
      CHECK(relative_difference(y, at::cat({wanted_a.slice(0, at_a, end_a),
                                            wanted_b.slice(0, at_b, end_b)})) < 1e-12);
      at_a = end_a;
      at_b = end_b;
    }
  }
}

TEST_CASE("CompressedAttention: in half types it computes the same, but for their digits") {
  const at::Tensor x = at::randn({60, kDim}, kDouble);
  const AttentionContext wide = context({0, 20, 60}, at::kDouble);
  for (CompressedAttention& module : kinds()) {
    const double bound = module->indexer ? 1 : 0.05;  // rounded scores may choose otherwise
    const at::Tensor wanted = module(x, wide);
    module->to(at::kBFloat16);
    const at::Tensor half = x.to(at::kBFloat16).set_requires_grad(true);
    const at::Tensor y = module(half, context({0, 20, 60}, at::kBFloat16));
    CHECK(y.scalar_type() == at::kBFloat16);
    CHECK(relative_difference(y, wanted) < bound);
    y.sum().backward();
    for (const at::Tensor& parameter : module->parameters()) {
      CHECK(parameter.grad().isfinite().all().item<bool>());
    }
  }
}

TEST_CASE("CompressedAttention: tensors, operations and the cache of each kind") {
  const auto all = kinds();
  const int64_t plain = kDim * 7 + 7 * 24 + kDim * 6 + 6 * 12 + 6 * kDim;
  const std::vector<int64_t> vectors = {7 + 6 + 4, 7 + 6 + 4 + 2 * 12 + 6, 7 + 6 + 4 + 4 * 6 + 6};
  const std::vector<int64_t> entries = {0, 2 * kDim * 12, 2 * kDim * 6};
  const int64_t index = 2 * kDim * 8 + 7 * 96 + kDim * 24;
  const std::vector<int64_t> heads = {4 * 24 * 3, 4 * 24 * (3 + 10) + 2 * (index + 96 * 10),
                                      4 * 24 * (3 + 5)};
  for (size_t i = 0; i < all.size(); ++i) {
    CHECK(numel(*all[i]) == plain + vectors[i] + entries[i] + (i == 1 ? index + 4 : 0));
    CHECK(all[i]->flops(20) == 2 * (plain + entries[i]) + heads[i]);
    CHECK(all[i]->units() == 0);
  }
  CHECK(numel(*all[1], Role::kBuffer) == 2 * 8);
  CHECK(trained_numel(*all[1]) == numel(*all[1]) - (index + 4));
  CHECK(all[0]->cache_shape() == CacheShape{{1, 6}});
  CHECK(all[1]->cache_shape() == CacheShape{{1, 6}, {1, 3}, {2, 12}, {1, 2}, {2, 8}});
  CHECK(all[2]->cache_shape() == CacheShape{{1, 6}, {1, 2}, {2, 6}});
}

TEST_CASE("CompressedAttention: its footprint is what a step keeps") {
  constexpr int64_t kTokens = 512;
  for (const auto& [ratio, chosen] : {std::pair{0, 0}, {4, 32}, {4, 256}, {8, 0}}) {
    CompressedAttention module = randomised(CompressedAttention(
        CompressedAttentionOptions{.hidden_size = 64,
                                   .num_heads = 8,
                                   .head_dim = 32,
                                   .q_rank = 48,
                                   .o_groups = 2,
                                   .o_rank = 24,
                                   .window = 32,
                                   .ratio = ratio,
                                   .index = {.heads = 4, .width = 16, .chosen = chosen},
                                   .rope = {.head_dim = 8}},
        at::kFloat));
    for (at::Tensor& buffer : module->buffers()) buffer.normal_();
    const at::Tensor x = at::randn({kTokens, 64}).set_requires_grad(true);
    const AttentionContext c = context({0, kTokens}, at::kFloat);
    const auto counter = std::make_shared<test::AllocationCounter>();
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
    const at::Tensor y = module(x, c);
    const Footprint said = module->footprint({.longest = kTokens});
    const double token = sizeof(float) * kTokens;
    const double kept = static_cast<double>(counter->now() - y.nbytes() + x.nbytes()) / token;
    CHECK(kept == Approx(said.saved).epsilon(0.002));
    const int64_t before = counter->now();
    counter->restart();
    y.backward(at::ones_like(y));
    // In it the gradients of what lies behind the attention, too.
    const double more = static_cast<double>(counter->peak() - before) / token;
    CHECK(more == Approx(said.backward + said.gradients / (2.0 * kTokens)).epsilon(0.03));
  }
}

TEST_CASE("CompressedAttention: what does not fit together is named") {
  const auto make = [](auto change) {
    CompressedAttentionOptions o = options(2, 2);
    change(o);
    return CompressedAttention(o, kDouble);
  };
  CHECK_THROWS_WITH(make([](auto& o) { o.o_groups = 3; }),
                    Contains("o_groups must divide num_heads, got 3 and 4"));
  CHECK_THROWS_WITH(make([](auto& o) { o.window = 0; }), Contains("window must be positive"));
  CHECK_THROWS_WITH(make([](auto& o) { o.ratio = 0; }), Contains("an indexer needs a ratio"));
  CHECK_THROWS_WITH(make([](auto& o) { o.rope.head_dim = 6; }),
                    Contains("no more can be rotated than a head is wide, 4, got 6"));
  CHECK_THROWS_WITH(make([](auto& o) { o.rope.type = RopeType::kDynamic; }),
                    Contains("dynamic angles"));
}

}  // namespace
}  // namespace hone::nn
