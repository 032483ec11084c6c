#include "hone/kernels/linear_cross_entropy.h"

#include <torch/nn/functional/loss.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <limits>
#include <memory>

#include "hone/kernels/finite.h"
#include "support/allocations.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::kernels {
namespace {

namespace F = torch::nn::functional;
using test::gradient_error;
using test::relative_difference;
using Tensors = std::vector<at::Tensor>;

const auto kDouble = at::TensorOptions().dtype(at::kDouble);
constexpr int64_t kIgnored = -100;

at::Tensor plain_nll(const at::Tensor& hidden, const at::Tensor& weight,
                     const at::Tensor& targets) {
  const at::ScalarType wide = hidden.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return F::cross_entropy(at::mm(hidden, weight.t()).to(wide), targets,
                          F::CrossEntropyFuncOptions().reduction(torch::kNone));
}

/// Targets in [0, vocabulary), every third ignored if `gaps`.
at::Tensor some_targets(int64_t count, int64_t vocabulary, bool gaps) {
  at::Tensor targets = at::randint(vocabulary, {count}, at::kLong);
  if (gaps) targets.slice(0, 0, count, 3).fill_(kIgnored);
  return targets;
}

TEST_CASE("linear_cross_entropy: gradient") {
  torch::manual_seed(1);
  for (const bool gaps : {false, true}) {
    const at::Tensor targets = some_targets(7, 9, gaps);
    const at::Tensor weights = torch::tensor({1.0, 0.0, 2.5, 0.3, 1.0, 1.0, 4.0}, kDouble);
    for (const at::Tensor& token_weights : {at::Tensor(), weights}) {
      for (const int64_t rows : {1, 3, 100}) {
        const auto f = [&](const Tensors& in) {
          return linear_cross_entropy(in[0], in[1], targets, token_weights, kIgnored, rows);
        };
        CHECK(gradient_error(f, {at::randn({7, 4}, kDouble), at::randn({9, 4}, kDouble)}) == "");
      }
    }
  }
}

TEST_CASE("linear_cross_entropy equals F::cross_entropy for any chunk") {
  torch::manual_seed(2);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const int64_t count : {1, 37, 64}) {
      for (const bool gaps : {false, true}) {
        if (gaps && count == 1) continue;  // all ignored: below
        const at::Tensor targets = some_targets(count, 50, gaps);
        const at::Tensor token_weights = at::rand({count}) + 0.5;
        Tensors plain = {at::randn({count, 12}).to(type), at::randn({50, 12}).to(type)};
        for (at::Tensor& input : plain) input.requires_grad_();
        (plain_nll(plain[0], plain[1], targets) * token_weights).sum().backward();
        const at::Tensor nll = plain_nll(plain[0], plain[1], targets).detach();
        for (const int64_t rows : {1, 5, 64}) {
          INFO(type << " count " << count << " gaps " << gaps << " rows " << rows);
          Tensors inputs;
          for (const at::Tensor& input : plain)
            inputs.push_back(input.detach().clone().requires_grad_());
          const at::Tensor sum =
              linear_cross_entropy(inputs[0], inputs[1], targets, token_weights, kIgnored, rows);
          CHECK(sum.scalar_type() == at::kFloat);
          CHECK(relative_difference(sum, (nll * token_weights).sum()) < 2e-6);
          sum.backward();
          // bfloat16 gradients round at each chunk and in the product's operand: 2^-8 each.
          const double tolerance = type == at::kFloat ? 3e-6 : 2e-2;
          for (size_t i = 0; i < 2; ++i) {
            CHECK(inputs[i].grad().scalar_type() == type);
            CHECK(relative_difference(inputs[i].grad(), plain[i].grad()) < tolerance);
          }
          CHECK(relative_difference(
                    linear_nll(plain[0].detach(), plain[1].detach(), targets, kIgnored, rows),
                    nll) < 2e-6);
        }
      }
    }
  }
}

TEST_CASE("chunk_rows is 64 MiB of logits, but not less than 256 rows") {
  CHECK(chunk_rows(8192, at::kCPU) == 2048);
  CHECK(chunk_rows(129280, at::kCPU) == 256);
  CHECK(chunk_rows(129280, at::kCUDA) == 2048);
}

TEST_CASE("Half types go through float32 a few rows at a time, with the same result") {
  torch::manual_seed(3);
  const int64_t vocabulary = 60000, tokens = 600, most = wide_rows(vocabulary);
  CHECK(most * vocabulary * 4 <= kChunkBytes);
  REQUIRE(most < tokens);
  const at::Tensor hidden = at::randn({tokens, 8}).to(at::kBFloat16).requires_grad_();
  const at::Tensor weight = at::randn({vocabulary, 8}).to(at::kBFloat16);
  const at::Tensor targets = some_targets(tokens, vocabulary, /*gaps=*/false);
  const auto counter = std::make_shared<test::AllocationCounter>();
  at::Tensor sum, nll = at::zeros({tokens});
  {
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
    sum = linear_cross_entropy(hidden, weight, targets, {}, kIgnored, tokens, nll);
  }
  // The logits in bfloat16, two float32 copies of some rows, and small things.
  CHECK(counter->peak() <= 2 * tokens * vocabulary + 2 * kChunkBytes + (8 << 20));
  const at::Tensor wanted = plain_nll(hidden.detach(), weight, targets);
  CHECK(relative_difference(nll, wanted) < 1e-6);
  CHECK(relative_difference(sum.detach(), wanted.sum()) < 1e-6);
  sum.backward();
  const at::Tensor whole = hidden.detach().clone().requires_grad_();
  plain_nll(whole, weight, targets).sum().backward();
  CHECK(relative_difference(hidden.grad().to(at::kFloat), whole.grad().to(at::kFloat)) <
        0.02);  // gradients of logits are rounded to bfloat16, three digits
}

TEST_CASE("linear_cross_entropy runs backward once") {
  const at::Tensor hidden = at::randn({3, 4}).requires_grad_();
  const at::Tensor sum =
      linear_cross_entropy(hidden, at::randn({5, 4}), at::zeros({3}, at::kLong), {});
  sum.backward({}, /*retain_graph=*/true);
  CHECK_THROWS_WITH(sum.backward(), Catch::Contains("it can be run backward once only"));
}

TEST_CASE("linear_cross_entropy computes no gradient where none is recorded") {
  const torch::NoGradGuard no_grad;
  const at::Tensor hidden = at::randn({3, 4}).requires_grad_();
  CHECK_FALSE(linear_cross_entropy(hidden, at::randn({5, 4}), at::zeros({3}, at::kLong), {})
                  .requires_grad());
}

TEST_CASE("linear_cross_entropy of nothing is zero with zero gradients") {
  for (const int64_t count : {0, 5}) {
    const at::Tensor hidden = at::randn({count, 4}).requires_grad_();
    const at::Tensor weight = at::randn({6, 4}).requires_grad_();
    const at::Tensor targets = at::full({count}, kIgnored, at::kLong);
    const at::Tensor sum = linear_cross_entropy(hidden, weight, targets, {});
    CHECK(sum.item<float>() == 0);
    sum.backward();
    CHECK(hidden.grad().equal(at::zeros({count, 4})));
    CHECK(weight.grad().equal(at::zeros({6, 4})));
    CHECK(linear_nll(hidden, weight, targets).equal(at::zeros({count})));
  }
}

TEST_CASE("linear_cross_entropy: weight 0 counts nothing, another ignore_index is honoured") {
  torch::manual_seed(3);
  const at::Tensor hidden = at::randn({4, 3}), weight = at::randn({5, 3});
  const at::Tensor targets = torch::tensor({1, 4, 0, 4}, at::kLong);
  const at::Tensor nll = plain_nll(hidden, weight, targets);
  const at::Tensor some =
      linear_cross_entropy(hidden, weight, targets, torch::tensor({1.f, 0.f, 2.f, 0.f}));
  CHECK(relative_difference(some, nll[0] + 2 * nll[2]) < 2e-6);
  CHECK(relative_difference(linear_cross_entropy(hidden, weight, targets, {}, 4), nll[0] + nll[2]) <
        2e-6);
  CHECK(linear_nll(hidden, weight, targets, 4).eq(0).equal(targets.eq(4)));
}

TEST_CASE("linear_cross_entropy: gradients only where asked, scaled by what comes in") {
  torch::manual_seed(4);
  const at::Tensor hidden = at::randn({6, 3}), weight = at::randn({5, 3});
  const at::Tensor targets = some_targets(6, 5, true);
  const auto grads = [&](bool to_hidden, bool to_weight, double factor) {
    const at::Tensor h = hidden.clone().requires_grad_(to_hidden);
    const at::Tensor w = weight.clone().requires_grad_(to_weight);
    (linear_cross_entropy(h, w, targets, {}) * factor).backward();
    return Tensors{h.grad(), w.grad()};
  };
  const Tensors both = grads(true, true, 1), scaled = grads(true, true, 0.25);
  CHECK(grads(true, false, 1)[0].equal(both[0]));
  CHECK_FALSE(grads(true, false, 1)[1].defined());
  CHECK(grads(false, true, 1)[1].equal(both[1]));
  for (size_t i = 0; i < 2; ++i) CHECK(scaled[i].equal(both[i] * 0.25));  // a power of two: exact
  CHECK_FALSE(linear_cross_entropy(hidden, weight, targets, {}).requires_grad());
}

TEST_CASE("linear_cross_entropy: the weight's gradient adds up over calls and uses") {
  torch::manual_seed(5);
  const at::Tensor hidden = at::randn({6, 3}), targets = some_targets(6, 5, false);
  const at::Tensor weight = at::randn({5, 3}).requires_grad_();
  linear_cross_entropy(hidden, weight, targets, {}).backward();
  const at::Tensor once = weight.grad().clone();
  linear_cross_entropy(hidden, weight, targets, {}).backward();
  CHECK(relative_difference(weight.grad(), once * 2) < 1e-6);
  // Tied to the embedding: hidden is made of the same weight.
  const at::Tensor ids = torch::tensor({0, 1, 2, 3, 4, 0}, at::kLong);
  const at::Tensor tied = weight.detach().clone().requires_grad_();
  linear_cross_entropy(at::embedding(tied, ids), tied, targets, {}).backward();
  const at::Tensor plain = weight.detach().clone().requires_grad_();
  plain_nll(at::embedding(plain, ids), plain, targets).sum().backward();
  CHECK(relative_difference(tied.grad(), plain.grad()) < 3e-6);
}

TEST_CASE("linear_cross_entropy: logits far from zero stay finite") {
  const at::Tensor hidden = torch::tensor({{100.f, 0.f}, {0.f, -100.f}}).requires_grad_();
  const at::Tensor weight = torch::tensor({{30.f, 1.f}, {-30.f, 5.f}}).requires_grad_();
  const at::Tensor sum = linear_cross_entropy(hidden, weight, torch::tensor({1, 0}, at::kLong), {});
  CHECK(sum.item<float>() == Approx(6000));
  sum.backward();
  CHECK(hidden.grad().isfinite().all().item<bool>());
  CHECK(weight.grad().isfinite().all().item<bool>());
}

TEST_CASE("linear_cross_entropy: a bad argument is named") {
  const at::Tensor hidden = at::randn({3, 4}), weight = at::randn({5, 4});
  const at::Tensor targets = at::zeros({3}, at::kLong);
  CHECK_THROWS_WITH(linear_cross_entropy(at::randn({4}), weight, targets, {}),
                    Catch::Contains("hidden must be [T, D], got [4]"));
  CHECK_THROWS_WITH(linear_cross_entropy(hidden, at::randn({5, 3}), targets, {}),
                    Catch::Contains("weight must be [V, D] with D = 4 and of hidden's dtype"));
  CHECK_THROWS_WITH(linear_cross_entropy(hidden, weight, at::zeros({3}), {}),
                    Catch::Contains("targets must be int64 [T] with T = 3"));
  CHECK_THROWS_WITH(linear_cross_entropy(hidden, weight, targets, at::ones({2})),
                    Catch::Contains("token_weights must be [T] = [3], got [2]"));
  for (const int64_t bad : {int64_t{5}, int64_t{-1}}) {
    CHECK_THROWS_AS(linear_cross_entropy(hidden, weight, at::full({3}, bad, at::kLong), {}),
                    c10::IndexError);
    CHECK_THROWS_WITH(linear_nll(hidden, weight, at::full({3}, bad, at::kLong)),
                      Catch::Contains("targets must be in [0, 5) or ignore_index -100, got " +
                                      std::to_string(bad)));
  }
}

TEST_CASE("token_nll is 0 at ignored targets, whatever it held") {
  torch::manual_seed(9);
  const at::Tensor hidden = at::randn({7, 4}), weight = at::randn({9, 4});
  for (const bool gaps : {false, true}) {
    const at::Tensor targets = some_targets(7, 9, gaps), token_nll = at::full({7}, 5.0F);
    linear_cross_entropy(hidden, weight, targets, {}, kIgnored, 2, token_nll);
    CHECK(at::allclose(token_nll, linear_nll(hidden, weight, targets)));
    CHECK((token_nll.masked_select(targets.eq(kIgnored)).eq(0).all().item<bool>()));
  }
}

TEST_CASE("all_finite finds one infinity or NaN, and is not misled by a sum that overflows") {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    at::Tensor x = at::full({3, 100}, 60000.0F).to(type);
    CHECK(all_finite(x));
    x[1][7] = -std::numeric_limits<float>::infinity();
    CHECK_FALSE(all_finite(x));
    x[2][7] = std::numeric_limits<float>::infinity();
    CHECK_FALSE(all_finite(x));
    x[1][7] = x[2][7] = std::nan("");
    CHECK_FALSE(all_finite(x));
  }
  CHECK(all_finite(at::empty({0})));
  CHECK(all_finite(at::ones({2}, at::kLong)));
}

}  // namespace
}  // namespace hone::kernels
