#include "hone/nn/gate.h"

#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "hone/core/error.h"
#include "hone/nn/checkpointing.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::nn {
namespace {

using test::gradient_error;
using test::relative_difference;

at::Tensor random(at::IntArrayRef sizes, int64_t seed = 5) {
  torch::manual_seed(seed);
  return torch::randn(sizes, at::kDouble);
}

at::Tensor values(const Gate& gate) { return torch::tensor(gate->importance(), at::kDouble); }

/// The definition: a gate leaf of ones multiplied in, with the mask behind it.
at::Tensor reference(Importance kind, const at::Tensor& x, const at::Tensor& mask,
                     const std::function<at::Tensor(const at::Tensor&)>& loss) {
  if (kind == Importance::kOutputNorm) return x.norm(2, at::IntArrayRef{2}).mean(0);
  // d/dgate at the mask: a unit that is off would add its x.
  const at::Tensor gate = mask.clone().requires_grad_();
  const at::Tensor g = torch::autograd::grad({loss(x * gate.unsqueeze(1))}, {gate})[0];
  return kind == Importance::kTaylor ? g.square() : g.abs();
}

TEST_CASE("Gate: with all units on it is its input, measured or not, to the bit") {
  Gate gate(3);
  const at::Tensor x = random({4, 3, 2}).to(at::kFloat).requires_grad_();
  CHECK(gate(x).is_same(x));
  const auto gradient = [&](const at::Tensor& y) {
    return torch::autograd::grad({(y * y * 0.3).sum()}, {x})[0];
  };
  const at::Tensor wanted = gradient(x);
  gate->measure(Importance::kTaylor);
  const at::Tensor y = gate(x);
  CHECK(at::equal(y, x));
  CHECK(y.data_ptr() == x.data_ptr());
  CHECK(at::equal(gradient(y), wanted));
  CHECK(gate->batches() == 1);
}

TEST_CASE("Gate: units that are off give zeros, or what stands in for them, even for NaN") {
  Gate gate(3);
  gate->set_mask({true, false, true});
  CHECK(gate->alive() == 2);
  at::Tensor x = random({4, 3, 2});
  const at::Tensor off = random({4, 3, 2}, 6);
  x.select(1, 1).fill_(NAN);
  CHECK(at::equal(gate(x).select(1, 1), at::zeros({4, 2}, at::kDouble)));
  CHECK(at::equal(gate(x, off).select(1, 1), off.select(1, 1)));
  CHECK(at::equal(gate(x, off).select(1, 2), x.select(1, 2)));
  CHECK(at::equal(gate(x.select(2, 0)).select(1, 0), x.select(2, 0).select(1, 0)));
}

TEST_CASE("Gate: gradient in all states") {
  for (const bool measures : {false, true}) {
    for (const bool masked : {false, true}) {
      INFO("measures " << measures << ", masked " << masked);
      Gate gate(3);
      if (masked) gate->set_mask({true, false, true});
      if (measures) gate->measure(Importance::kGateGradient);
      CHECK(gradient_error([&](const auto& in) { return gate(in[0]).square(); },
                           {random({4, 3, 2})}) == "");
      CHECK(gradient_error([&](const auto& in) { return gate(in[0]).square(); },
                           {random({4, 3})}) == "");
      CHECK(gradient_error([&](const auto& in) { return gate(in[0], in[1]).square() + in[1]; },
                           {random({4, 3, 2}), random({4, 3, 2}, 6)}) == "");
    }
  }
}

TEST_CASE("Gate: importance is that of a gate leaf, and of finite differences") {
  const at::Tensor c = random({4, 3, 2}, 8);
  const auto loss = [&](const at::Tensor& y) {
    return ((y * c).sum(at::IntArrayRef{0, 2}).tanh() * y.exp().mean()).sum();
  };
  for (const auto kind :
       {Importance::kGateGradient, Importance::kTaylor, Importance::kOutputNorm}) {
    for (const bool masked : {false, true}) {
      INFO(enum_name(kind) << ", masked " << masked);
      Gate gate(3);
      const at::Tensor mask = torch::tensor({1.0, masked ? 0.0 : 1.0, 1.0}, at::kDouble);
      if (masked) gate->set_mask({true, false, true});
      gate->measure(kind);
      at::Tensor sum = at::zeros({3}, at::kDouble);
      for (const int64_t batch : {1, 2, 3}) {
        const at::Tensor x = random({4, 3, 2}, batch).requires_grad_();
        loss(gate(x)).backward();
        sum += reference(kind, x, mask, loss).detach();
        if (kind != Importance::kGateGradient || batch > 1) continue;
        const auto at_gate = [&](int64_t unit, double value) {
          at::Tensor changed = mask.clone();
          changed[unit] = value;
          return loss(x.detach() * changed.unsqueeze(1)).item<double>();
        };
        for (int64_t u = 0; u < 3; ++u) {
          const double m = mask[u].item<double>();
          const double difference = (at_gate(u, m + 1e-5) - at_gate(u, m - 1e-5)) / 2e-5;
          CHECK(values(gate)[u].item<double>() == Approx(std::abs(difference)).epsilon(1e-6));
        }
      }
      CHECK(gate->batches() == 3);
      CHECK(relative_difference(values(gate), sum / 3) < 1e-12);
    }
  }
}

TEST_CASE("Gate: units one wide are measured as the same units in three dimensions") {
  for (const auto kind :
       {Importance::kGateGradient, Importance::kTaylor, Importance::kOutputNorm}) {
    Gate flat(5), deep(5);
    flat->measure(kind);
    deep->measure(kind);
    const at::Tensor x = random({7, 5}).requires_grad_();
    flat(x).exp().sum().backward();
    deep(x.unsqueeze(2)).exp().sum().backward();
    CHECK(relative_difference(values(flat), values(deep)) < 1e-12);
  }
}

TEST_CASE("Gate: what stands in for a unit counts as its zero") {
  Gate gate(1);
  gate->measure(Importance::kGateGradient);
  const at::Tensor x = random({4, 1, 2}).requires_grad_(), off = random({4, 1, 2}, 6);
  const at::Tensor leaf = at::ones({}, at::kDouble).requires_grad_();
  for (const bool on : {true, false}) {
    gate->set_mask({on});
    gate->reset_importance();
    gate(x, off).exp().sum().backward();
    const at::Tensor g = on ? leaf : leaf - 1;
    const at::Tensor wanted =
        torch::autograd::grad({(off + g * (x - off)).exp().sum()}, {leaf})[0].abs();
    CHECK(relative_difference(values(gate)[0], wanted) < 1e-12);
  }
}

TEST_CASE("Gate: a checkpointed block is measured once") {
  const at::Tensor x = random({4, 6}).requires_grad_();
  const auto run = [&](bool again) {
    Gate gate(3);
    gate->measure(Importance::kGateGradient);
    gate->set_mask({true, true, false});
    const Block block = [&](const at::Tensor& in) {
      return gate(in.exp().view({4, 3, 2})).square().sum(2);
    };
    (again ? checkpoint(block, x) : block(x)).sin().sum().backward();
    CHECK(gate->batches() == 1);
    return gate->importance();
  };
  CHECK(run(true) == run(false));
}

TEST_CASE("Gate: measures in training with gradients only, and where nothing below trains") {
  Gate gate(3);
  gate->measure(Importance::kGateGradient);
  const at::Tensor x = random({4, 3, 2});
  CHECK_THROWS_WITH(gate->importance(), Catch::Contains("no importance was measured"));
  {
    const torch::NoGradGuard no_grad;
    CHECK(gate(x).is_same(x));
  }
  gate->eval();
  CHECK(gate(x).is_same(x));
  gate->train();
  gate(x).square().sum().backward();
  CHECK(relative_difference(values(gate), (2 * x.square()).sum(at::IntArrayRef{0, 2})) < 1e-12);
  gate->measure(std::nullopt);
  CHECK(gate(x).is_same(x));
  CHECK(gate->batches() == 1);
}

TEST_CASE("Gate: a batch that overflows does not count") {
  Gate gate(2);
  gate->measure(Importance::kGateGradient);
  const auto batch = [&](double scale) {
    (gate(random({4, 2, 3}).requires_grad_()) * scale).sum().backward();
  };
  batch(2);
  const std::vector<double> before = gate->importance();
  batch(INFINITY);
  CHECK(gate->batches() == 1);
  CHECK(gate->importance() == before);
}

TEST_CASE("Gate: half types are summed in float32") {
  Gate gate(1);
  gate->measure(Importance::kGateGradient);
  const at::Tensor x = at::ones({4096, 1, 1}, at::kBFloat16);
  gate(x).sum().backward();
  CHECK(gate->importance() == std::vector<double>{4096});
}

TEST_CASE("Gate: a restored gate goes on to the bit, and a cut one keeps what it knew") {
  Gate first(4), second(4);
  const auto batch = [](Gate& gate, int64_t seed) {
    gate(random({5, 4, 2}, seed).requires_grad_()).exp().sum().backward();
  };
  first->set_mask({true, false, true, true});
  first->measure(Importance::kTaylor);
  batch(first, 1);
  batch(first, 2);
  second->restore(first->state());
  second->measure(Importance::kTaylor);
  batch(first, 3);
  batch(second, 3);
  CHECK(first->importance() == second->importance());
  CHECK(second->mask() == first->mask());
  const std::vector<double> before = first->importance();
  first->keep_units({0, 2});
  CHECK(first->units() == 2);
  CHECK(first->alive() == 2);
  CHECK(first->importance() == std::vector<double>{before[0], before[2]});
  first->measure(Importance::kOutputNorm);
  CHECK(first->batches() == 0);
}

TEST_CASE("Gate: misshapen arguments are named") {
  Gate gate(3);
  CHECK_THROWS_WITH(
      gate(at::ones({4, 2, 2})),
      Catch::Contains("Gate: x must be [T, U, E] or [T, U] with U = 3, got [4, 2, 2]"));
  CHECK_THROWS_WITH(gate(at::ones({4, 3}), at::ones({4, 2})), Catch::Contains("off must have"));
  CHECK_THROWS_WITH(gate->set_mask({true}), Catch::Contains("mask must be of the 3 units, got 1"));
  CHECK_THROWS_WITH(gate->keep_units({3}), Catch::Contains("unit 3 is not one of 3"));
  CHECK_THROWS_WITH(Gate(0), Catch::Contains("units must be positive"));
}

}  // namespace
}  // namespace hone::nn
