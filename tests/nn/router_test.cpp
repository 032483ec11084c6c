#include "hone/nn/router.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "nn/modules.h"
#include "support/catch.h"

namespace hone::nn {
namespace {

using Catch::Contains;

const auto kFloat = at::TensorOptions().dtype(at::kFloat);

/// A router whose logits of the token [1, 0, ..., 0] are these.
Router router_of(RouterOptions options, const std::vector<float>& logits) {
  options.dim = 2;
  options.experts = std::ssize(logits);
  Router router(options, kFloat);
  const torch::NoGradGuard no_grad;
  router->weight.zero_();
  router->weight.select(1, 0).copy_(torch::tensor(logits));
  return router;
}

/// Weights by expert, 0 for those not chosen.
std::vector<float> weights_of(Router& router) {
  const Routing routing = router(torch::tensor({{1.f, 0.f}}));
  const at::Tensor all = at::zeros({router->options.experts})
                             .scatter(0, routing.experts[0], routing.weights[0].detach());
  return {all.data_ptr<float>(), all.data_ptr<float>() + all.numel()};
}

void check_weights(Router router, const std::vector<double>& wanted) {
  const std::vector<float> got = weights_of(router);
  REQUIRE(got.size() == wanted.size());
  for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(wanted[i]).margin(1e-7));
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

TEST_CASE("Router: the largest softmax scores, scaled or normalised") {
  const std::vector<float> logits = {0, 1, -1, 2};
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit);
  const double one = std::exp(1) / sum, two = std::exp(2) / sum;
  check_weights(router_of({.chosen = 2}, logits), {0, one, 0, two});
  check_weights(router_of({.chosen = 2, .scale = 16}, logits), {0, 16 * one, 0, 16 * two});
  check_weights(router_of({.chosen = 2, .normalise = true, .scale = 3}, logits),
                {0, 3 * one / (one + two), 0, 3 * two / (one + two)});
}

TEST_CASE("Router: the bias chooses and does not weigh") {
  Router router =
      router_of({.chosen = 2, .scoring = Scoring::kSigmoid, .bias = true}, {0, 1, -1, 2});
  check_weights(router, {0, sigmoid(1), 0, sigmoid(2)});
  router->e_score_correction_bias.copy_(torch::tensor({0.f, 0.f, 1.f, -1.f}));
  check_weights(router, {0, sigmoid(1), sigmoid(-1), 0});
}

double sqrt_softplus(double x) { return std::sqrt(std::log1p(std::exp(x))); }

TEST_CASE("Router: roots of softplus, finite in their gradients also where it is 0") {
  RouterOptions options = {.chosen = 2, .scoring = Scoring::kSqrtSoftplus, .bias = true};
  check_weights(router_of(options, {0, 1, -1, 2}), {0, sqrt_softplus(1), 0, sqrt_softplus(2)});
  Router router = router_of(options, {0, 1, -1000, 2});
  router(torch::tensor({{1.f, 0.f}})).weights.sum().backward();
  CHECK(router->weight.grad().isfinite().all().item<bool>());
}

TEST_CASE("Router: a table chooses by the token's id; its scores weigh") {
  const RouterOptions options = {
      .chosen = 2, .scoring = Scoring::kSqrtSoftplus, .hashed = 3, .normalise = true, .scale = 1.5};
  Router router = router_of(options, {0, 1, -1, 2});
  router->tid2eid.copy_(torch::tensor({{0, 1}, {3, 2}, {1, 3}}, at::kLong));
  const at::Tensor x = torch::tensor({{1.f, 0.f}, {1.f, 0.f}});
  const Routing routing = router(x, torch::tensor({1, 0}, at::kLong));
  CHECK(routing.experts.equal(torch::tensor({{3, 2}, {0, 1}}, at::kLong)));
  const double first = sqrt_softplus(2), second = sqrt_softplus(-1);
  CHECK(routing.weights[0][0].item<double>() == Approx(1.5 * first / (first + second)));
  CHECK(routing.weights[0][1].item<double>() == Approx(1.5 * second / (first + second)));
  CHECK_THROWS_WITH(router(x), Contains("ids must be [T] with T = 2, got []"));
  CHECK_THROWS_WITH(router(x, at::zeros({3}, at::kLong)), Contains("with T = 2, got [3]"));

  const auto own = router->own_tensors();
  REQUIRE(own.size() == 2);
  CHECK(own[1].name == "tid2eid");
  CHECK(own[1].role == Role::kBuffer);
  CHECK(own[1].choices == 4);
  router->grow({2, 0});
  CHECK(router->options.hashed == 5);
  CHECK(router->own_tensors()[1].tensor.slice(0, 3).equal(
      torch::tensor({{1, 3}, {0, 1}}, at::kLong)));
}

TEST_CASE("Router: experts come of the best groups alone") {
  const std::vector<float> logits = {3, -3, 2, 1.9f, 1, 0.9f};  // in three groups of two
  const RouterOptions options = {
      .chosen = 2, .scoring = Scoring::kSigmoid, .groups = 3, .chosen_groups = 1};
  // A group counts by its best; then by the sum of its best two.
  check_weights(router_of(options, logits), {sigmoid(3), sigmoid(-3), 0, 0, 0, 0});
  RouterOptions two = options;
  two.group_top = 2;
  check_weights(router_of(two, logits), {0, 0, sigmoid(2), sigmoid(1.9f), 0, 0});
}

TEST_CASE("Router: float32 also beside bfloat16; the bias is part of the checkpoint, untrained") {
  Router router(RouterOptions{.dim = 4, .experts = 3, .chosen = 1, .bias = true},
                kFloat.dtype(at::kBFloat16));
  const Routing routing = randomised(router)(at::randn({2, 4}, at::kBFloat16));
  CHECK(routing.weights.scalar_type() == at::kFloat);
  CHECK(router->e_score_correction_bias.scalar_type() == at::kFloat);
  CHECK(router->parameters().size() == 1);
  const auto own = router->own_tensors();
  REQUIRE(own.size() == 2);
  CHECK(own[1].name == "e_score_correction_bias");
  CHECK(own[1].role == Role::kBuffer);
}

TEST_CASE("Router: a choice that cannot be is refused") {
  CHECK_THROWS_WITH(Router(RouterOptions{.dim = 4, .experts = 6, .chosen = 3, .groups = 3}, kFloat),
                    Contains("cannot choose 3 of 6 experts in 1 of 3 groups"));
}

}  // namespace
}  // namespace hone::nn
