#include "hone/kernels/divergence.h"

#include <torch/nn/functional/loss.h>
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

namespace F = torch::nn::functional;
using test::gradient_error;
using test::relative_difference;
using Tensors = std::vector<at::Tensor>;

const auto kDouble = at::TensorOptions().dtype(at::kDouble);
constexpr int64_t kIgnored = -100;

std::vector<DivergenceOptions> all_options() {
  std::vector<DivergenceOptions> all;
  for (const double temperature : {0.7, 1.0, 2.0}) {
    for (const bool squared : {false, true}) {
      all.push_back({Divergence::kForwardKl, 0.5, temperature, squared});
      all.push_back({Divergence::kReverseKl, 0.5, temperature, squared});
      for (const double beta : {0.1, 0.5, 0.9}) {
        all.push_back({Divergence::kJsd, beta, temperature, squared});
      }
    }
  }
  return all;
}

/// By F::kl_div, whose first argument is the logarithm of what its second is compared with.
at::Tensor plain(const at::Tensor& student, const at::Tensor& teacher, const DivergenceOptions& o) {
  const auto kl = [](const at::Tensor& ln_against, const at::Tensor& ln_of) {
    return F::kl_div(ln_against, ln_of,
                     F::KLDivFuncOptions().reduction(torch::kNone).log_target(true))
        .sum(-1);
  };
  const int64_t width = teacher.size(1);
  const at::Tensor q = (student.slice(1, 0, width) / o.temperature).log_softmax(-1);
  const at::Tensor p = (teacher / o.temperature).log_softmax(-1);
  const double scale = o.squared ? o.temperature * o.temperature : 1;
  if (o.kind == Divergence::kForwardKl) return scale * kl(q, p);
  if (o.kind == Divergence::kReverseKl) return scale * kl(p, q);
  const at::Tensor m =
      at::logsumexp(at::stack({p + std::log(o.beta), q + std::log(1 - o.beta)}), 0);
  return scale * (o.beta * kl(m, p) + (1 - o.beta) * kl(m, q));
}

TEST_CASE("divergences equal F::kl_div's, and so do their gradients") {
  torch::manual_seed(1);
  for (const DivergenceOptions& options : all_options()) {
    for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
      INFO("kind " << static_cast<int>(options.kind) << " beta " << options.beta << " temperature "
                   << options.temperature << " type " << type);
      const at::Tensor student = (at::randn({5, 45}, type) * 3).requires_grad_();
      const at::Tensor logits = at::randn({5, 40}, type) * 3, factors = at::rand({5}, type);
      const at::Tensor expected = plain(student, logits, options);
      (expected * factors).sum().backward();
      at::Tensor teacher = logits.clone();
      const double bound = type == at::kDouble ? 1e-12 : 1e-5;
      CHECK(relative_difference(divergence(student.detach(), teacher, factors, options),
                                expected.detach()) < bound);
      CHECK(relative_difference(teacher, student.grad().slice(1, 0, 40)) < bound);
      CHECK(student.grad().slice(1, 40).eq(0).all().item<bool>());
      at::Tensor kept = logits.clone();
      divergence(student.detach(), kept, {}, options);
      CHECK(kept.equal(logits));
    }
  }
}

TEST_CASE("half types go through ATen's operations, in float32") {
  torch::manual_seed(2);
  for (const DivergenceOptions& options : all_options()) {
    const at::Tensor student = at::randn({3, 50}, at::kBFloat16);
    at::Tensor teacher = at::randn({3, 50}, at::kBFloat16), wide = teacher.to(at::kFloat);
    const at::Tensor factors = at::rand({3});
    const at::Tensor got = divergence(student, teacher, factors, options);
    const at::Tensor expected = divergence(student.to(at::kFloat), wide, factors, options);
    CHECK(got.scalar_type() == at::kFloat);
    CHECK(relative_difference(got, expected) < 1e-5);
    CHECK(relative_difference(teacher.to(at::kFloat), wide) < 1e-2);
  }
}

TEST_CASE("rows far apart stay finite") {
  for (const DivergenceOptions& options : all_options()) {
    at::Tensor student = at::zeros({1, 8}), teacher = at::zeros({1, 8});
    student[0][0] = 300;
    teacher[0][1] = 300;
    const at::Tensor value = divergence(student, teacher, at::ones({1}), options);
    CHECK(value.isfinite().all().item<bool>());
    CHECK(teacher.isfinite().all().item<bool>());
    if (options.kind == Divergence::kJsd && !options.squared) {
      const double beta = options.beta;  // of two certainties: the entropy of (beta, 1 - beta)
      CHECK(value.item<double>() ==
            Approx(-beta * std::log(beta) - (1 - beta) * std::log(1 - beta)).epsilon(1e-4));
    }
  }
}

/// A teacher of width 6 with `rows` of vocabulary, for `count` tokens.
SoftTargets some_teacher(int64_t count, int64_t rows, const DivergenceOptions& options) {
  return {.hidden = at::randn({count, 6}, kDouble),
          .weight = at::randn({rows, 6}, kDouble),
          .options = options,
          .share = 0.3};
}

TEST_CASE("linear_distillation: gradient, values and unequal vocabularies") {
  torch::manual_seed(3);
  at::Tensor targets = at::randint(9, {7}, at::kLong);
  targets[2] = kIgnored;
  const at::Tensor weights = at::rand({7}, kDouble);
  for (const DivergenceOptions& options : all_options()) {
    for (const int64_t vocabulary : {9, 8, 12}) {
      const SoftTargets soft = some_teacher(7, vocabulary, options);
      const at::Tensor hidden = at::randn({7, 4}, kDouble), weight = at::randn({9, 4}, kDouble);
      const auto f = [&](const Tensors& in) {
        return linear_distillation(in[0], in[1], targets, weights, soft, kIgnored, 3);
      };
      const at::Tensor before = weights.clone();
      CHECK(gradient_error(f, {hidden, weight}) == "");
      CHECK(weights.equal(before));
      const int64_t width = std::min<int64_t>(9, vocabulary);
      const at::Tensor logits = hidden.mm(weight.t());
      const at::Tensor other = soft.hidden.mm(soft.weight.slice(0, 0, width).t());
      const at::Tensor counted = targets.ne(kIgnored).to(at::kDouble) * weights;
      const at::Tensor nll =
          F::cross_entropy(logits, targets, F::CrossEntropyFuncOptions().reduction(torch::kNone));
      const at::Tensor expected =
          (counted * (0.7 * nll + 0.3 * plain(logits, other, options))).sum();
      CHECK(relative_difference(f({hidden, weight}), expected) < 1e-12);
    }
  }
}

TEST_CASE("a teacher that is the student adds nothing") {
  torch::manual_seed(4);
  const at::Tensor targets = at::randint(50, {40}, at::kLong);
  const at::Tensor hidden = at::randn({40, 6}).requires_grad_();
  const at::Tensor weight = at::randn({50, 6}).requires_grad_();
  for (const DivergenceOptions& options : all_options()) {
    const SoftTargets soft{.hidden = hidden.detach(),
                           .weight = weight.detach(),
                           .options = options,
                           .share = 1,
                           .divergence = at::ones({40})};
    const at::Tensor loss = linear_distillation(hidden, weight, targets, {}, soft);
    CHECK(std::abs(loss.item<double>()) < 1e-4);
    CHECK(soft.divergence.abs().max().item<double>() < 1e-5);
    loss.backward();
    CHECK(hidden.grad().abs().max().item<double>() < 1e-5);
    hidden.mutable_grad().zero_();
  }
}

TEST_CASE("no logits of all tokens exist, of student or teacher") {
  constexpr int64_t kTokens = 2048, kVocabulary = 8192;
  const at::Tensor targets = at::randint(kVocabulary, {kTokens}, at::kLong);
  const at::Tensor hidden = at::randn({kTokens, 16}).requires_grad_();
  const at::Tensor weight = at::randn({kVocabulary, 16}).requires_grad_();
  const SoftTargets soft{.hidden = at::randn({kTokens, 16}),
                         .weight = at::randn({kVocabulary, 16})};
  const auto counter = std::make_shared<test::AllocationCounter>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
  linear_distillation(hidden, weight, targets, {}, soft, kIgnored, 256).backward();
  // Naive: five [T, V] of logits and probabilities.
  CHECK(counter->peak() < 5 * kTokens * kVocabulary * 4 / 5);
}

TEST_CASE("a teacher that does not fit is named") {
  const at::Tensor targets = at::zeros({3}, at::kLong), hidden = at::randn({3, 4});
  const at::Tensor weight = at::randn({9, 4});
  const auto refused = [&](const SoftTargets& soft, const char* what) {
    CHECK_THROWS_WITH(linear_distillation(hidden, weight, targets, {}, soft),
                      Catch::Contains(what));
  };
  refused({.hidden = at::randn({2, 4}), .weight = weight}, "the teacher's hidden must be [T, D']");
  refused({.hidden = hidden, .weight = at::randn({9, 5})}, "the teacher's hidden must be [T, D']");
  refused({.hidden = hidden, .weight = weight, .share = 1.5}, "share must lie between 0 and 1");
  refused({.hidden = hidden, .weight = weight, .options = {.temperature = 0}},
          "temperature must be positive");
  refused({.hidden = hidden, .weight = weight, .options = {.kind = Divergence::kJsd, .beta = 1}},
          "beta must lie between 0 and 1");
}

}  // namespace
}  // namespace hone::kernels
