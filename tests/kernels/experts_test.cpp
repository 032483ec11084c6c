#include "hone/kernels/experts.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "hone/kernels/product.h"
#include "kernels/plain_formula.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::kernels {
namespace {

using test::check_equal;
using test::gradient_error;
using test::kTypes;
using test::relative_difference;
using test::Tensors;
using test::tolerance_of;

constexpr double kGateUpScale = 0.7, kDownScale = 1.3;

/// Every token through every expert, and 0 times those that it did not choose. With 8 inputs the
/// last four are adapters.
at::Tensor plain_experts(const Tensors& in, const at::Tensor& choices, double limit = kNoLimit) {
  const at::Tensor &x = in[0], &weights = in[1];
  at::Tensor gate_up = in[2], down = in[3];
  if (in.size() == 8) {
    gate_up = gate_up + kGateUpScale * at::bmm(in[5], in[4]);
    down = down + kDownScale * at::bmm(in[7], in[6]);
  }
  at::Tensor out = at::zeros_like(x);
  for (int64_t e = 0; e < gate_up.size(0); ++e) {
    const auto halves = at::linear(x, gate_up[e]).chunk(2, -1);
    const at::Tensor activated =
        at::silu(halves[0].clamp_max(limit)) * halves[1].clamp(-limit, limit);
    const at::Tensor y = at::linear(activated, down[e]);
    const at::Tensor weight = (weights * choices.eq(e)).sum(1, true);
    out = out + (y * weight).to(x.scalar_type());
  }
  return out;
}

/// K different experts of each token.
at::Tensor random_choices(int64_t tokens, int64_t chosen, int64_t experts) {
  return at::rand({tokens, experts}).argsort(1, false).slice(1, 0, chosen).contiguous();
}

Tensors random_inputs(int64_t tokens, int64_t chosen, int64_t experts, at::ScalarType type) {
  constexpr int64_t kDim = 16, kHidden = 24;  // multiples of 8, as at::_grouped_mm needs them
  return {at::randn({tokens, kDim}).to(type), at::rand({tokens, chosen}).to(type),
          at::randn({experts, 2 * kHidden, kDim}).to(type) / 3,
          at::randn({experts, kDim, kHidden}).to(type) / 4};
}

/// Those, with adapters on both layers; b's numbers do not lie in a row, as nn::Experts' do not.
Tensors adapted_inputs(int64_t tokens, int64_t chosen, int64_t experts, at::ScalarType type) {
  Tensors in = random_inputs(tokens, chosen, experts, type);
  for (const at::Tensor& weight : {in[2], in[3]}) {
    in.push_back(at::randn({experts, 3, weight.size(2)}).to(type) / 4);
    in.push_back(at::randn({weight.size(1), 3, experts}).permute({2, 0, 1}).to(type) / 2);
  }
  return in;
}

at::Tensor adapted_experts(const Tensors& in, const ExpertOrder& order) {
  return mixed_experts(in[0], in[1], in[2], in[3], order, {in[4], in[5], kGateUpScale},
                       {in[6], in[7], kDownScale});
}

TEST_CASE("order_by_expert sorts choices, and keeps the order of tokens") {
  const ExpertOrder order = order_by_expert(torch::tensor({{2, 0}, {3, 2}, {0, 2}}, at::kLong), 5);
  CHECK(order.offsets == std::vector<int64_t>{0, 2, 2, 5, 6, 6});
  CHECK(order.places.equal(torch::tensor({1, 4, 0, 3, 5, 2}, at::kLong)));
  CHECK(order.tokens.equal(torch::tensor({0, 2, 0, 1, 2, 1}, at::kLong)));
  CHECK(order.rows.equal(torch::tensor({{2, 0}, {5, 3}, {1, 4}}, at::kLong)));
  CHECK_THROWS_WITH(order_by_expert(torch::tensor({{5}}, at::kLong), 5),
                    Catch::Contains("choices must be in [0, 5), got 5"));
  CHECK_THROWS_WITH(order_by_expert(torch::tensor({{-1}}, at::kLong), 5),
                    Catch::Contains("got -1"));
  CHECK_THROWS_WITH(order_by_expert(at::zeros({2}), 5), Catch::Contains("int64 [T, K], got Float"));
}

TEST_CASE("mixed_experts equals every expert on every token") {
  torch::manual_seed(1);
  for (const at::ScalarType type : kTypes) {
    // Of half types the rows of a token are added in another order.
    const double tolerance = type == at::kBFloat16 ? 2e-2
                             : type == at::kHalf   ? 2e-3
                                                   : tolerance_of(type);
    for (const auto& [tokens, chosen, experts] : {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1},
                                                  {50, 2, 4},
                                                  {3, 2, 16},
                                                  {33, 5, 5},
                                                  {700, 2, 3}}) {
      INFO(type << " " << tokens << " tokens, " << chosen << " of " << experts);
      const at::Tensor choices = random_choices(tokens, chosen, experts);
      const ExpertOrder order = order_by_expert(choices, experts);
      check_equal(
          [&](const Tensors& in) { return mixed_experts(in[0], in[1], in[2], in[3], order); },
          [&](const Tensors& in) { return plain_experts(in, choices); },
          random_inputs(tokens, chosen, experts, type), tolerance);
    }
  }
}

TEST_CASE("mixed_experts: a token may choose an expert twice, with many rows too") {
  torch::manual_seed(7);
  const at::Tensor choices = at::randint(3, {900, 3}, at::kLong);
  const ExpertOrder order = order_by_expert(choices, 3);
  CHECK(order.repeats);
  CHECK_FALSE(order_by_expert(random_choices(9, 2, 3), 3).repeats);
  check_equal([&](const Tensors& in) { return mixed_experts(in[0], in[1], in[2], in[3], order); },
              [&](const Tensors& in) { return plain_experts(in, choices); },
              random_inputs(900, 3, 3, at::kFloat), tolerance_of(at::kFloat));
}

TEST_CASE("mixed_experts: beyond a limit gate and up are clamped") {
  torch::manual_seed(6);
  constexpr double kLimit = 0.5;
  for (const at::ScalarType type : kTypes) {
    const at::Tensor choices = random_choices(50, 2, 4);
    const ExpertOrder order = order_by_expert(choices, 4);
    check_equal(
        [&](const Tensors& in) {
          return mixed_experts(in[0], in[1], in[2], in[3], order, {}, {}, kLimit);
        },
        [&](const Tensors& in) { return plain_experts(in, choices, kLimit); },
        random_inputs(50, 2, 4, type), tolerance_of(type));
  }
}

TEST_CASE("mixed_experts: gradient, also of what is wanted alone") {
  torch::manual_seed(2);
  const at::Tensor choices = random_choices(4, 2, 3);
  const ExpertOrder order = order_by_expert(choices, 3);
  const Tensors inputs = random_inputs(4, 2, 3, at::kDouble);
  CHECK(gradient_error(
            [&](const Tensors& in) { return mixed_experts(in[0], in[1], in[2], in[3], order); },
            inputs) == "");
  Tensors all;
  for (const at::Tensor& input : inputs) all.push_back(input.clone().requires_grad_());
  mixed_experts(all[0], all[1], all[2], all[3], order).sum().backward();
  for (size_t wanted = 0; wanted < inputs.size(); ++wanted) {
    Tensors in = inputs;
    in[wanted] = in[wanted].clone().requires_grad_();
    mixed_experts(in[0], in[1], in[2], in[3], order).sum().backward();
    CHECK(in[wanted].grad().equal(all[wanted].grad()));
  }
}

TEST_CASE("mixed_experts with adapters equals experts of changed weights") {
  torch::manual_seed(6);
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (const auto& [tokens, chosen, experts] :
         {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1}, {3, 2, 16}, {700, 2, 2}}) {
      INFO(type << " " << tokens << " tokens, " << chosen << " of " << experts);
      const at::Tensor choices = random_choices(tokens, chosen, experts);
      const ExpertOrder order = order_by_expert(choices, experts);
      // Products in another order: sums of products of two rounded factors.
      check_equal([&](const Tensors& in) { return adapted_experts(in, order); },
                  [&](const Tensors& in) { return plain_experts(in, choices); },
                  adapted_inputs(tokens, chosen, experts, type), 4 * tolerance_of(type));
    }
  }
}

TEST_CASE("mixed_experts: an adapter on either layer alone; half types take ATen's operations") {
  torch::manual_seed(7);
  const at::Tensor choices = random_choices(9, 2, 3);
  const ExpertOrder order = order_by_expert(choices, 3);
  for (const at::ScalarType type : {at::kDouble, at::kBFloat16}) {
    const Tensors in = adapted_inputs(9, 2, 3, type);
    for (const bool down : {false, true}) {
      const ExpertLora none, own = {in[down ? 6 : 4].clone().requires_grad_(),
                                    in[down ? 7 : 5].clone().requires_grad_(), 0.5};
      const at::Tensor out =
          mixed_experts(in[0], in[1], in[2], in[3], order, down ? none : own, down ? own : none);
      Tensors changed = in;
      changed.resize(4);
      changed[down ? 3 : 2] = in[down ? 3 : 2] + 0.5 * at::bmm(own.b, own.a);
      const at::Tensor plain = plain_experts(changed, choices);
      const double tolerance = type == at::kDouble ? 1e-13 : 3e-2;  // bfloat16 has 8 bits
      CHECK(relative_difference(out, plain) < tolerance);
      const at::Tensor cotangent = at::randn(out.sizes()).to(type);
      const auto got = torch::autograd::grad({out}, {own.a, own.b}, {cotangent});
      const auto wanted = torch::autograd::grad({plain}, {own.a, own.b}, {cotangent});
      for (const size_t i : {0, 1}) CHECK(relative_difference(got[i], wanted[i]) < tolerance);
    }
  }
}

TEST_CASE("mixed_experts: the same to the bit by any number of threads") {
  torch::manual_seed(5);
  const at::Tensor choices = random_choices(90, 3, 8);
  const ExpertOrder order = order_by_expert(choices, 8);
  const Tensors inputs = adapted_inputs(90, 3, 8, at::kFloat);
  const auto all = [&](int threads) {
    at::set_num_threads(threads);
    Tensors in, results;
    for (const at::Tensor& input : inputs) in.push_back(input.clone().requires_grad_());
    results.push_back(adapted_experts(in, order));
    results[0].square().sum().backward();
    for (const at::Tensor& input : in) results.push_back(input.grad());
    return results;
  };
  const int before = at::get_num_threads();
  const Tensors one = all(1), three = all(3);
  at::set_num_threads(before);
  for (size_t i = 0; i < one.size(); ++i) CHECK(one[i].equal(three[i]));
}

TEST_CASE("mixed_experts: an expert without tokens gets gradients of 0") {
  const at::Tensor choices = at::zeros({3, 1}, at::kLong);
  Tensors in = random_inputs(3, 1, 2, at::kFloat);
  for (at::Tensor& input : in) input.requires_grad_();
  mixed_experts(in[0], in[1], in[2], in[3], order_by_expert(choices, 2)).sum().backward();
  for (const size_t weights : {2, 3}) {
    CHECK(in[weights].grad()[1].eq(0).all().item<bool>());
    CHECK(in[weights].grad()[0].ne(0).any().item<bool>());
  }
}

TEST_CASE("mixed_experts: products round to bfloat16 where the process's do") {
  torch::manual_seed(3);
  const at::Tensor choices = random_choices(40, 2, 4);
  const ExpertOrder order = order_by_expert(choices, 4);
  const Tensors in = random_inputs(40, 2, 4, at::kFloat);
  const at::Tensor exact = mixed_experts(in[0], in[1], in[2], in[3], order);
  set_product_type(ProductType::kBfloat16);
  const at::Tensor rounded = mixed_experts(in[0], in[1], in[2], in[3], order);
  set_product_type(ProductType::kFloat32);
  const double difference = relative_difference(rounded, exact);
  CHECK(difference > 1e-4);
  CHECK(difference < 2e-2);
}

TEST_CASE("mixed_experts: wrong shapes are named") {
  const ExpertOrder order = order_by_expert(at::zeros({3, 2}, at::kLong), 4);
  const Tensors in = random_inputs(3, 2, 4, at::kFloat);
  CHECK_THROWS_WITH(mixed_experts(in[0], in[1].slice(1, 1), in[2], in[3], order),
                    Catch::Contains("weights [T, K] of the 6 choices, got [3, 16] and [3, 1]"));
  CHECK_THROWS_WITH(mixed_experts(in[0], in[1], in[2].slice(0, 1), in[3], order),
                    Catch::Contains("of E = 4 and D = 16, got [3, 48, 16] and [4, 16, 24]"));
  const Tensors with = adapted_inputs(3, 2, 4, at::kFloat);
  CHECK_THROWS_WITH(
      mixed_experts(in[0], in[1], in[2], in[3], order, {with[6], with[7]}),
      Catch::Contains("gate_up_lora must be a [E, r, in] and b [E, out, r] of weights [4, 48, 16], "
                      "got [4, 3, 24] and [4, 16, 3]"));
  CHECK_THROWS_WITH(mixed_experts(in[0], in[1], in[2], in[3], order, {}, {with[6], {}}),
                    Catch::Contains("down_lora must have a and b"));
}

}  // namespace
}  // namespace hone::kernels
