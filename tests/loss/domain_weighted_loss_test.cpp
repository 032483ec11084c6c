#include "hone/loss/domain_weighted_loss.h"

#include <torch/nn/functional/loss.h>
#include <torch/serialize.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <sstream>

#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::loss {
namespace {

namespace F = torch::nn::functional;
using test::gradient_error;
using test::relative_difference;
using Tensors = std::vector<at::Tensor>;

const auto kDouble = at::TensorOptions().dtype(at::kDouble);
constexpr int64_t kTokens = 10, kVocabulary = 7, kDim = 4;

/// Logits or hidden states, targets with two ignored, domains of three, key-entity multipliers.
struct Example {
  explicit Example(at::TensorOptions options = {}) {
    torch::manual_seed(1);
    hidden = at::randn({kTokens, kDim}, options);
    projection = at::randn({kVocabulary, kDim}, options);
    targets = at::randint(kVocabulary, {kTokens}, at::kLong);
    targets[0] = targets[6] = -100;
    domain = torch::tensor({0, 0, 1, 1, 2, 2, 2, 1, 0, 1}, at::kLong);
    token_weights = torch::tensor({1., 3., 1., 1., 0., 2., 1., 1., 1., 5.}, options);
  }
  at::Tensor logits() const { return at::mm(hidden, projection.t()); }

  at::Tensor hidden, projection, targets, domain, token_weights;
};

/// sum and weight token by token, from log-probabilities in double.
std::pair<double, double> by_hand(const Example& example, const std::vector<double>& weights,
                                  bool entities) {
  const at::Tensor log_p = example.logits().to(at::kDouble).log_softmax(1);
  double sum = 0, total = 0;
  for (int64_t t = 0; t < kTokens; ++t) {
    const auto target = example.targets[t].item<int64_t>();
    if (target == -100) continue;
    const double weight = weights[example.domain[t].item<int64_t>()] *
                          (entities ? example.token_weights[t].item<double>() : 1);
    sum -= weight * log_p[t][target].item<double>();
    total += weight;
  }
  return {sum, total};
}

TEST_CASE("DomainWeightedLoss with all weights 1 is F::cross_entropy") {
  const Example example;
  DomainWeightedLoss loss({.weights = {1, 1, 1}});
  const LossSum got = loss(example.logits(), example.targets, example.domain);
  const at::Tensor mean = F::cross_entropy(example.logits(), example.targets);
  CHECK(got.weight.item<float>() == 8);
  CHECK(relative_difference(got.sum / got.weight, mean) < 1e-6);

  // Rows of a padded batch.
  const LossSum rows = loss(example.logits().view({2, 5, kVocabulary}),
                            example.targets.view({2, 5}), example.domain.view({2, 5}));
  CHECK(rows.sum.equal(got.sum));
}

TEST_CASE("DomainWeightedLoss counts each token with its domain's and its own weight") {
  const Example example;
  const std::vector<double> weights = {0.5, 2, 0};
  DomainWeightedLoss loss({.weights = weights});
  for (const bool entities : {false, true}) {
    const auto [sum, weight] = by_hand(example, weights, entities);
    const at::Tensor token_weights = entities ? example.token_weights : at::Tensor();
    const LossSum whole = loss(example.logits(), example.targets, example.domain, token_weights);
    const LossSum chunked = loss->forward_linear(example.hidden, example.projection,
                                                 example.targets, example.domain, token_weights);
    for (const LossSum& got : {whole, chunked}) {
      CHECK(got.sum.item<double>() == Approx(sum).epsilon(1e-6));
      CHECK(got.weight.item<double>() == Approx(weight).epsilon(1e-6));
      CHECK_FALSE(got.weight.requires_grad());
    }
  }
}

TEST_CASE("DomainWeightedLoss: gradient, from logits and from hidden states") {
  const Example example(kDouble);
  DomainWeightedLoss loss({.weights = {0.5, 2, 0}});
  const auto whole = [&](const Tensors& in) {
    return loss(in[0], example.targets, example.domain, example.token_weights).sum;
  };
  const auto chunked = [&](const Tensors& in) {
    return loss
        ->forward_linear(in[0], in[1], example.targets, example.domain, example.token_weights)
        .sum;
  };
  CHECK(gradient_error(whole, {example.logits()}) == "");
  CHECK(gradient_error(chunked, {example.hidden, example.projection}) == "");
}

TEST_CASE("DomainWeightedLoss: ignored and weightless tokens leave nothing") {
  const Example example;
  DomainWeightedLoss loss({.weights = {0, 0, 0}});
  const at::Tensor logits = example.logits().requires_grad_();
  const LossSum zero = loss(logits, example.targets, example.domain);
  CHECK(zero.weight.item<float>() == 0);
  CHECK(zero.sum.item<float>() == 0);
  zero.sum.backward();
  CHECK(logits.grad().eq(0).all().item<bool>());

  DomainWeightedLoss other({.weights = {1, 1, 1}, .ignore_index = 3});
  const LossSum none = other(example.logits(), at::full({kTokens}, 3, at::kLong), example.domain);
  CHECK(none.weight.item<float>() == 0);
  CHECK(none.sum.item<float>() == 0);
}

TEST_CASE("DomainWeightedLoss widens half types") {
  const Example example;
  DomainWeightedLoss loss({.weights = {0.5, 2, 1}});
  const at::Tensor half = example.logits().to(at::kBFloat16);
  const LossSum got = loss(half, example.targets, example.domain);
  CHECK(got.sum.scalar_type() == at::kFloat);
  CHECK(relative_difference(got.sum,
                            loss(half.to(at::kFloat), example.targets, example.domain).sum) == 0);
  CHECK(loss(example.logits().to(at::kDouble), example.targets, example.domain).sum.scalar_type() ==
        at::kDouble);
}

TEST_CASE("DomainWeightedLoss: new weights, clones, saving") {
  const Example example;
  const auto value = [&](DomainWeightedLossImpl& loss) {
    return loss.forward(example.logits(), example.targets, example.domain).sum.item<double>();
  };
  DomainWeightedLoss loss({.weights = {1, 1, 1}});
  const double before = value(*loss);
  const auto copy = std::dynamic_pointer_cast<DomainWeightedLossImpl>(loss->clone());
  loss->set_weights({0.5, 2, 0});
  CHECK(value(*loss) == Approx(by_hand(example, {0.5, 2, 0}, false).first).epsilon(1e-6));
  CHECK(value(*copy) == before);

  std::stringstream file;
  torch::save(loss, file);
  DomainWeightedLoss loaded({.weights = {1, 1, 1}});
  torch::load(loaded, file);
  CHECK(value(*loaded) == value(*loss));
  CHECK(loss->buffers().size() == 1);
  CHECK(loss->parameters().empty());
  CHECK(c10::str(*DomainWeightedLoss({.weights = {1, 2}})) ==
        "hone::loss::DomainWeightedLoss(weights=1 2, ignore_index=-100)");
}

TEST_CASE("DomainWeightedLoss: a bad argument is named") {
  CHECK_THROWS_WITH(DomainWeightedLoss(DomainWeightedLossOptions{.weights = {}}),
                    Catch::Contains("weights must not be empty"));
  for (const double bad : {-1.0, double(INFINITY), double(NAN)}) {
    CHECK_THROWS_WITH(DomainWeightedLoss(DomainWeightedLossOptions{.weights = {1, bad}}),
                      Catch::Contains("weights[1] must be finite and >= 0, got "));
  }
  const Example example;
  DomainWeightedLoss loss({.weights = {1, 1, 1}});
  CHECK_THROWS_WITH(loss->set_weights({1, 1}),
                    Catch::Contains("set_weights needs 3 values, got 2"));
  CHECK_THROWS_WITH(loss->set_weights({1, 1, -2}),
                    Catch::Contains("weights[2] must be finite and >= 0, got -2"));
  CHECK_THROWS_WITH(
      loss(example.logits().slice(0, 1), example.targets, example.domain),
      Catch::Contains("logits must be [..., V] over targets' shape [10], got [9, 7]"));
  CHECK_THROWS_WITH(loss(example.logits(), example.targets, example.domain.slice(0, 1)),
                    Catch::Contains("domain must be int64 of targets' shape [10], got Long [9]"));
  CHECK_THROWS_WITH(loss(example.logits(), example.targets, example.domain + 1),
                    Catch::Contains("domain must be in [0, 3), got 1 to 3"));
  CHECK_THROWS_WITH(loss(example.logits(), example.targets, example.domain, at::ones({3})),
                    Catch::Contains("token_weights must have targets' shape [10], got [3]"));
}

}  // namespace
}  // namespace hone::loss
