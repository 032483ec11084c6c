#include "hone/nn/carry_optimizer.h"

#include <torch/torch.h>

#include <functional>

#include "hone/core/error.h"
#include "hone/nn/dynamic_attention.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::nn;

namespace {

using Stock = std::unique_ptr<torch::optim::Optimizer>;
using Maker = std::function<Stock(std::vector<at::Tensor>)>;

template <class T, class Options>
Maker maker(const Options& options) {
  return [options](std::vector<at::Tensor> parameters) -> Stock {
    return std::make_unique<T>(std::move(parameters), options);
  };
}

void step(torch::optim::Optimizer& optimizer, const at::Tensor& parameter,
          const at::Tensor& gradient) {
  parameter.mutable_grad() = gradient.clone();
  optimizer.step();
}

at::Tensor leaf(const at::Tensor& tensor) {
  return tensor.detach().clone().set_requires_grad(true);
}

}  // namespace

TEST_CASE("After a cut a stock optimiser does to what is kept what it would have done before") {
  using namespace torch::optim;
  const std::vector<std::pair<const char*, Maker>> optimizers = {
      {"Adam", maker<Adam>(AdamOptions(1e-2))},
      {"Adam with amsgrad", maker<Adam>(AdamOptions(1e-2).amsgrad(true))},
      {"AdamW", maker<AdamW>(AdamWOptions(1e-2).weight_decay(0.1))},
      {"SGD", maker<SGD>(SGDOptions(1e-2))},
      {"SGD with momentum", maker<SGD>(SGDOptions(1e-2).momentum(0.9).nesterov(true))},
      {"RMSprop", maker<RMSprop>(RMSpropOptions(1e-2).momentum(0.9).centered(true))},
      {"Adagrad", maker<Adagrad>(AdagradOptions(1e-2))}};
  const at::Tensor rows = torch::tensor({0, 2, 5}), columns = torch::tensor({1, 3});
  for (const auto& [name, make] : optimizers) {
    INFO(name);
    torch::manual_seed(3);
    const at::Tensor whole = leaf(torch::randn({6, 4})), other = leaf(torch::randn({3}));
    const Stock by_whole = make({whole, other});
    other.mutable_grad() = torch::ones({3});
    for (int i = 0; i < 3; ++i) step(*by_whole, whole, torch::randn({6, 4}));

    const at::Tensor part = leaf(whole.index_select(0, rows).index_select(1, columns));
    const Stock by_part = make({whole, other});
    // The same state: the optimiser itself cannot be copied, its state can.
    for (const auto& [key, state] : by_whole->state()) by_part->state()[key] = state->clone();
    const at::Tensor other_then = other.detach().clone();
    carry(*by_part, {{"weight", whole}, {"bias", other}}, {{"weight", part}, {"bias", other}},
          {{"weight", 0, rows}, {"weight", 1, columns}});
    CHECK(by_part->param_groups()[0].params()[0].is_same(part));
    CHECK(by_part->param_groups()[0].params()[1].is_same(other));
    for (int i = 0; i < 3; ++i) {
      const at::Tensor gradient = torch::randn({6, 4});
      step(*by_whole, whole, gradient);
      step(*by_part, part, gradient.index_select(0, rows).index_select(1, columns));
      // Elements of a vector and those left over may round differently in the last bit.
      CHECK(
          torch::allclose(part, whole.index_select(0, rows).index_select(1, columns), 1e-6, 1e-7));
    }
    CHECK_FALSE(other.equal(other_then));
  }
}

TEST_CASE("A parameter that is gone leaves the optimiser with its state") {
  const at::Tensor a = leaf(torch::ones({2})), b = leaf(torch::ones({3}));
  torch::optim::Adam optimizer({a, b}, 1e-2);
  for (const at::Tensor& parameter : {a, b}) parameter.mutable_grad() = torch::ones_like(parameter);
  optimizer.step();
  carry(optimizer, {{"a", a}, {"b", b}}, {{"b", b}}, {});
  REQUIRE(optimizer.param_groups()[0].params().size() == 1);
  CHECK(optimizer.param_groups()[0].params()[0].is_same(b));
  CHECK(optimizer.state().size() == 1);
}

TEST_CASE("Cuts that do not fit the new parameter, and LBFGS, are refused with nothing changed") {
  const at::Tensor a = leaf(torch::ones({4})), part = leaf(torch::ones({2}));
  torch::optim::Adam optimizer({a}, 1e-2);
  CHECK_THROWS_WITH(
      carry(optimizer, {{"a", a}}, {{"a", part}}, {{"a", 0, torch::tensor({1})}}),
      Catch::Contains("the cuts of a leave [1] of [4]") && Catch::Contains("now is [2]"));
  CHECK(optimizer.param_groups()[0].params()[0].is_same(a));

  torch::optim::LBFGS lbfgs({a}, 1e-2);
  lbfgs.step([&] {
    lbfgs.zero_grad();
    const at::Tensor loss = (a * a).sum();
    loss.backward();
    return loss;
  });
  CHECK_THROWS_WITH(carry(lbfgs, {{"a", a}}, {{"a", part}}, {{"a", 0, torch::tensor({0, 1})}}),
                    Catch::Contains("begin a new optimiser"));
}

TEST_CASE("DynamicAttention trains on under Adam after its cut") {
  torch::manual_seed(1);
  DynamicAttention attention(
      {.dim = 16, .num_heads = 4, .causal = true, .prune = {.target = 0.5, .start = 2, .end = 6}});
  torch::optim::Adam optimizer(attention->parameters(), 1e-2);
  const at::Tensor x = torch::randn({2, 6, 16});
  const auto train = [&] {
    optimizer.zero_grad();
    const at::Tensor loss = torch::mse_loss(attention->forward(x), x.cumsum(1));
    loss.backward();
    optimizer.step();
    attention->step();
    return loss.item<double>();
  };
  for (int i = 0; i < 10; ++i) train();
  const auto before = named_parameters(*attention);
  const std::vector<Cut> cuts = attention->cut();
  REQUIRE_FALSE(cuts.empty());
  carry(optimizer, before, named_parameters(*attention), cuts);
  CHECK(optimizer.param_groups()[0].params().size() == attention->parameters().size());
  const double first = train();
  for (int i = 0; i < 20; ++i) train();
  CHECK(train() < first);
}
