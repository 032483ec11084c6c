#include "hone/kernels/top_tokens.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <memory>
#include <vector>

#include "hone/kernels/linear_cross_entropy.h"
#include "support/allocations.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::kernels {
namespace {

using test::gradient_error;
using test::relative_difference;
using Tensors = std::vector<at::Tensor>;

const auto kDouble = at::TensorOptions().dtype(at::kDouble);

std::vector<DivergenceOptions> all_options() {
  return {{Divergence::kForwardKl}, {Divergence::kReverseKl}, {Divergence::kJsd, 0.3}};
}

TEST_CASE("top_tokens: the likeliest tokens, the mass of the others and the rows' entropy") {
  torch::manual_seed(1);
  const at::Tensor hidden = at::randn({6, 4}), weight = at::randn({20, 4});
  const TopRows rows = top_tokens(hidden, weight, 5);
  const at::Tensor p = hidden.mm(weight.t()).softmax(1);
  const auto [best, ids] = p.topk(5, 1);
  CHECK(rows.top.ids.equal(ids));
  CHECK(rows.top.vocabulary == 20);
  CHECK(relative_difference(rows.top.log_probs, best.log()) < 1e-5);
  CHECK(relative_difference(rows.top.log_tail.exp(), 1 - best.sum(1)) < 1e-5);
  CHECK(relative_difference(rows.entropy, -(p * p.log()).sum(1)) < 1e-5);
  CHECK(top_tokens(hidden, weight, 20).top.log_tail.exp().eq(0).all().item<bool>());
  CHECK_THROWS_WITH(top_tokens(hidden, weight, 21),
                    Catch::Contains("k must be in [1, 20], got 21"));
  CHECK_THROWS_WITH(top_tokens(hidden, weight, 0), Catch::Contains("got 0"));
}

/// The buckets of a row: the kept tokens' masses and that of all others.
at::Tensor buckets(const at::Tensor& p, const at::Tensor& ids) {
  const at::Tensor kept = p.gather(1, ids);
  return at::cat({kept, 1 - kept.sum(1, true)}, 1);
}

/// The definition, over the masses themselves.
at::Tensor plain(const at::Tensor& p, const at::Tensor& q, const DivergenceOptions& o) {
  const auto kl = [](const at::Tensor& a, const at::Tensor& b) {
    return (a * (a.log() - b.log())).sum(1);
  };
  if (o.kind == Divergence::kForwardKl) return kl(p, q);
  if (o.kind == Divergence::kReverseKl) return kl(q, p);
  const at::Tensor m = o.beta * p + (1 - o.beta) * q;
  return o.beta * kl(p, m) + (1 - o.beta) * kl(q, m);
}

TEST_CASE("top_divergence: the divergence of the masses, and its gradient") {
  torch::manual_seed(2);
  for (const DivergenceOptions& options : all_options()) {
    for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16}) {
      INFO("kind " << static_cast<int>(options.kind) << " type " << type);
      const at::ScalarType wide = type == at::kDouble ? at::kDouble : at::kFloat;
      const at::Tensor student = (at::randn({7, 24}) * 2).to(type);  // of 4 rows of padding
      const TopTokens top = top_tokens(at::randn({7, 5}, wide), at::randn({20, 5}, wide), 4).top;
      const at::Tensor leaf = student.to(at::kDouble).requires_grad_();
      const at::Tensor q = buckets(leaf.slice(1, 0, 20).softmax(1), top.ids);
      const at::Tensor p = at::cat({top.log_probs, top.log_tail.unsqueeze(1)}, 1).exp();
      const at::Tensor expected = plain(p.to(at::kDouble), q, options);
      const at::Tensor factors = at::rand({7}, wide);
      (expected * factors.to(at::kDouble)).sum().backward();
      at::Tensor gradient;
      const at::Tensor got = top_divergence(student, top, factors, options, gradient);
      CHECK(got.scalar_type() == wide);
      CHECK(gradient.scalar_type() == type);
      CHECK(relative_difference(got.to(at::kDouble), expected.detach()) <
            (wide == at::kDouble ? 1e-12 : 1e-5));
      // Of bfloat16, 8 bits of which the gradient keeps.
      const double bound = type == at::kDouble ? 1e-12 : type == at::kFloat ? 1e-5 : 1e-2;
      CHECK(relative_difference(gradient.to(at::kDouble), leaf.grad().slice(1, 0, 20)) < bound);
      at::Tensor none;
      CHECK(top_divergence(student, top, {}, options, none).equal(got));
      CHECK_FALSE(none.defined());
    }
  }
}

TEST_CASE("linear_distillation of cut rows: gradient; all tokens kept equal whole rows") {
  torch::manual_seed(3);
  at::Tensor targets = at::randint(9, {7}, at::kLong);
  targets[2] = -100;
  const at::Tensor weights = at::rand({7}, kDouble);
  const at::Tensor hidden = at::randn({7, 4}, kDouble), weight = at::randn({11, 4}, kDouble);
  SoftTargets whole{.hidden = at::randn({7, 6}, kDouble), .weight = at::randn({9, 6}, kDouble)};
  whole.share = 0.3;
  for (const DivergenceOptions& options : all_options()) {
    whole.options = options;
    double last = 0;
    for (const int64_t k : {1, 3, 6, 9}) {
      SoftTargets cut{.top = top_tokens(whole.hidden, whole.weight, k).top,
                      .options = options,
                      .share = 0.3,
                      .divergence = at::ones({7}, kDouble)};
      const auto f = [&](const Tensors& in) {
        return linear_distillation(in[0], in[1], targets, weights, cut, -100, 3);
      };
      CHECK(gradient_error(f, {hidden, weight}) == "");
      const double sum = cut.divergence.sum().item<double>();
      CHECK(sum > last);  // the more is kept, the more tells both apart
      last = sum;
      CHECK(cut.divergence[2].item<double>() == 0);
      if (k < 9) continue;
      const auto w = [&](const Tensors& in) {
        return linear_distillation(in[0], in[1], targets, weights, whole, -100, 3);
      };
      Tensors a = {hidden.clone().requires_grad_(), weight.clone().requires_grad_()};
      Tensors b = {hidden.clone().requires_grad_(), weight.clone().requires_grad_()};
      const at::Tensor mine = f(a), theirs = w(b);
      CHECK(relative_difference(mine.detach(), theirs.detach()) < 1e-12);
      mine.backward();
      theirs.backward();
      CHECK(relative_difference(a[0].grad(), b[0].grad()) < 1e-12);
      CHECK(relative_difference(a[1].grad(), b[1].grad()) < 1e-12);
    }
  }
}

TEST_CASE("top_divergence: rows far apart stay finite") {
  for (const DivergenceOptions& options : all_options()) {
    at::Tensor student = at::zeros({1, 8}), weight = at::zeros({8, 1}), gradient;
    student[0][0] = 300;
    weight[1][0] = 300;
    const TopTokens top = top_tokens(at::ones({1, 1}), weight, 2).top;
    const at::Tensor value = top_divergence(student, top, at::ones({1}), options, gradient);
    CHECK(value.isfinite().all().item<bool>());
    CHECK(gradient.isfinite().all().item<bool>());
  }
}

TEST_CASE("top_divergence makes wide copies of a few rows at a time") {
  constexpr int64_t kTokens = 4096, kVocabulary = 16384;
  const at::Tensor student = at::randn({kTokens, kVocabulary});
  const TopTokens top{at::arange(4).repeat({kTokens, 1}), at::full({kTokens, 4}, std::log(0.2)),
                      at::full({kTokens}, std::log(0.2)), kVocabulary};
  const auto counter = std::make_shared<test::AllocationCounter>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
  at::Tensor gradient;
  top_divergence(student, top, {}, {}, gradient);
  CHECK(counter->peak() < 4 * kChunkBytes);
}

TEST_CASE("top_divergence: what does not fit is named") {
  const at::Tensor student = at::randn({3, 9});
  const TopTokens good{at::arange(2).repeat({3, 1}), at::full({3, 2}, -1.), at::full({3}, -1.), 9};
  const auto refused = [&](const TopTokens& top, const DivergenceOptions& options,
                           const char* what) {
    at::Tensor gradient;
    CHECK_THROWS_WITH(top_divergence(student, top, {}, options, gradient), Catch::Contains(what));
  };
  TopTokens bad = good;
  bad.ids = good.ids.slice(0, 1);
  refused(bad, {}, "ids must be int64 [n, k] with n = 3");
  bad = good;
  bad.log_tail = good.log_tail.to(at::kDouble);
  refused(bad, {}, "log_probs and log_tail must be Float");
  bad = good;
  bad.vocabulary = 10;
  refused(bad, {}, "have 10 tokens, the student's only 9");
  refused(good, {.temperature = 2}, "temperature must be 1");
  const SoftTargets soft{.top = good};
  CHECK_THROWS_WITH(linear_distillation(at::randn({2, 4}), at::randn({9, 4}),
                                        at::zeros({2}, at::kLong), {}, soft),
                    Catch::Contains("the teacher's ids must be [T, k] with T = 2"));
}

}  // namespace
}  // namespace hone::kernels
