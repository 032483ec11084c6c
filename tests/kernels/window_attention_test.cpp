#include "hone/kernels/window_attention.h"

#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::kernels {
namespace {

using test::relative_difference;

constexpr int64_t kHeads = 3, kWidth = 4;
const auto kDouble = at::TensorOptions().dtype(at::kDouble);

/// The formula, a query and a head at a time.
at::Tensor plain(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& sinks,
                 const WindowOptions& o, const at::Tensor& entries, const at::Tensor& chosen) {
  at::Tensor out = at::zeros_like(q);
  for (int64_t t = 0; t < q.size(0); ++t) {
    const int64_t place = kv.size(0) - q.size(0) + t;
    std::vector<at::Tensor> keys;
    for (int64_t j = std::max<int64_t>(0, place - o.window + 1); j <= place; ++j) {
      keys.push_back(kv[j]);
    }
    for (int64_t i = 0; o.ratio > 0 && (i + 1) * o.ratio <= place + 1; ++i) {
      if (!chosen.defined() || chosen[t][i].item<bool>()) keys.push_back(entries[i]);
    }
    const at::Tensor all = at::stack(keys);
    for (int64_t h = 0; h < kHeads; ++h) {
      const at::Tensor weights = (at::mv(all, q[t][h]) * o.scale).exp();
      out[t][h] = at::mv(all.t(), weights) / (weights.sum() + sinks[h].exp());
    }
  }
  return out;
}

struct Case {
  int64_t queries, positions, window, ratio;
};

TEST_CASE("window_attention equals its formula over blocks, entries and a past") {
  for (const Case& c : {Case{1, 1, 4, 0}, Case{3, 3, 4, 4}, Case{150, 150, 5, 0},
                        Case{150, 150, 70, 4}, Case{7, 80, 5, 8}, Case{1, 40, 200, 4}}) {
    CAPTURE(c.queries, c.positions, c.window, c.ratio);
    torch::manual_seed(1);
    const WindowOptions options{.window = c.window, .ratio = c.ratio, .scale = 0.7};
    const at::Tensor q = at::randn({c.queries, kHeads, kWidth}, kDouble);
    const at::Tensor kv = at::randn({c.positions, kWidth}, kDouble);
    const at::Tensor sinks = at::randn({kHeads}, kDouble);
    at::Tensor entries, chosen;
    if (c.ratio > 0) {
      entries = at::randn({c.positions / c.ratio, kWidth}, kDouble);
      CHECK(relative_difference(window_attention(q, kv, sinks, options, entries),
                                plain(q, kv, sinks, options, entries, {})) < 1e-13);
      chosen = at::rand({c.queries, c.positions / c.ratio}) < 0.5;
    }
    CHECK(relative_difference(window_attention(q, kv, sinks, options, entries, chosen),
                              plain(q, kv, sinks, options, entries, chosen)) < 1e-13);
  }
}

TEST_CASE("window_attention: gradient") {
  const at::Tensor chosen = at::rand({9, 4}) < 0.5;
  const auto f = [&](const std::vector<at::Tensor>& in) {
    return window_attention(in[0], in[1], in[2], {.window = 3, .ratio = 2, .scale = 0.7}, in[3],
                            chosen);
  };
  CHECK(test::gradient_error(
            f, {at::randn({9, kHeads, kWidth}, kDouble), at::randn({9, kWidth}, kDouble),
                at::randn({kHeads}, kDouble), at::randn({4, kWidth}, kDouble)}) == "");
}

TEST_CASE("window_attention: dropped weights, and their gradient") {
  const at::Tensor kv = at::eye(kWidth, kDouble), q = at::zeros({kWidth, kHeads, kWidth}, kDouble);
  const at::Tensor low = at::full({kHeads}, -1e3, kDouble);  // no sink
  const auto attend = [&](const std::vector<at::Tensor>& in) {
    torch::manual_seed(4);
    return window_attention(in[0], in[1], in[2], {.window = kWidth, .scale = 1, .dropout = 0.25});
  };
  // Of the last query each weight is 1/4, or a third where 3 of 4 are left.
  const at::Tensor last = attend({q, kv, low})[-1];
  CHECK((last.eq(0).logical_or((last - 1.0 / 3).abs().lt(1e-12))).all().item<bool>());
  CHECK(last.eq(0).any().item<bool>());
  CHECK(last.ne(0).any().item<bool>());
  CHECK(test::gradient_error(attend, {at::randn_like(q), at::randn_like(kv), low * 0}) == "");
}

TEST_CASE("window_attention: half types are summed wide") {
  torch::manual_seed(5);
  std::vector<at::Tensor> exact = {at::randn({40, kHeads, kWidth}), at::randn({40, kWidth}),
                                   at::randn({kHeads}), at::randn({20, kWidth})};
  const at::Tensor cotangent = at::randn({40, kHeads, kWidth}).to(at::kBFloat16);
  const auto grads = [&](at::ScalarType type) {
    std::vector<at::Tensor> in;
    for (const at::Tensor& x : exact) {
      in.push_back(x.to(at::kBFloat16).to(type).set_requires_grad(true));
    }
    const at::Tensor y = window_attention(in[0], in[1], in[2], {.window = 4, .ratio = 2}, in[3]);
    CHECK(y.scalar_type() == type);
    auto all = torch::autograd::grad({y}, in, {cotangent.to(type)});
    all.push_back(y);
    return all;
  };
  const auto half = grads(at::kBFloat16), wide = grads(at::kDouble);
  // Products and weights round to 8 bits; sums of 20 blocks' rounded parts would be worse.
  for (size_t i = 0; i < half.size(); ++i) CHECK(relative_difference(half[i], wide[i]) < 0.015);
}

TEST_CASE("window_attention: what is misshapen is named") {
  const at::Tensor q = at::randn({3, kHeads, kWidth}), kv = at::randn({4, kWidth});
  const at::Tensor sinks = at::zeros({kHeads}), entries = at::randn({2, kWidth});
  const auto attend = [&](const at::Tensor& kv, const at::Tensor& sinks, int64_t window,
                          const at::Tensor& entries, const at::Tensor& chosen) {
    return window_attention(q, kv, sinks, {.window = window, .ratio = 2}, entries, chosen);
  };
  CHECK(attend(kv, sinks, 2, entries, {}).sizes() == q.sizes());
  using Catch::Matchers::Contains;
  CHECK_THROWS_WITH(attend(kv.slice(0, 2), sinks, 2, entries, {}), Contains("kv must be [P, E]"));
  CHECK_THROWS_WITH(attend(kv, sinks.slice(0, 1), 2, entries, {}),
                    Contains("sinks must be [H] = [3], got [2]"));
  CHECK_THROWS_WITH(attend(kv, sinks, 0, entries, {}), Contains("window must be positive"));
  CHECK_THROWS_WITH(attend(kv, sinks, 2, entries.slice(0, 1), {}),
                    Contains("entries must be [C, E] = [2, 4], got [1, 4]"));
  CHECK_THROWS_WITH(attend(kv, sinks, 2, {}, {}), Contains("entries must be [C, E] = [2, 4]"));
  CHECK_THROWS_WITH(attend(kv, sinks, 2, entries, at::ones({3, 3}, at::kBool)),
                    Contains("chosen must be bool [L, C] = [3, 2], got [3, 3]"));
}

}  // namespace
}  // namespace hone::kernels
