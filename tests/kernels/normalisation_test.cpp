#include "hone/kernels/normalisation.h"

#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::kernels {
namespace {

using test::gradient_error;
using test::relative_difference;
using Tensors = std::vector<at::Tensor>;

constexpr double kEps = 1e-6;
// Two orders of the same few hundred float32 additions differ by some units in the last place.
constexpr double kFloatTolerance = 2e-6;
const auto kDouble = at::TensorOptions().dtype(at::kDouble);

// The formulas as transformers writes them, in ATen operations with their own autograd.

at::Tensor plain_rms_norm(const at::Tensor& x, const at::Tensor& weight) {
  const at::Tensor wide = x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
  return weight * (wide * at::rsqrt(wide.square().mean(-1, true) + kEps)).to(x.scalar_type());
}

at::Tensor plain_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const auto halves = x.chunk(2, -1);
  return x * cos.unsqueeze(1) + at::cat({-halves[1], halves[0]}, -1) * sin.unsqueeze(1);
}

at::Tensor plain_swiglu(const at::Tensor& gate, const at::Tensor& up) {
  return at::silu(gate) * up;
}

/// cos and sin [T, E] of the angles t / 100^(2i/E), both halves equal.
Tensors angles(int64_t length, int64_t size, at::TensorOptions options) {
  const at::Tensor frequency = at::pow(100, -at::arange(0, size, 2, options) / size);
  const at::Tensor angle = at::outer(at::arange(length, options), frequency).repeat({1, 2});
  return {angle.cos(), angle.sin()};
}

/// The gradients of `inputs` under f, with a fixed random cotangent.
template <class F>
Tensors gradients(F f, Tensors inputs) {
  for (at::Tensor& input : inputs) input = input.detach().clone().requires_grad_();
  const at::Tensor out = f(inputs);
  torch::manual_seed(5);
  return torch::autograd::grad({out}, inputs, {at::randn(out.sizes()).to(out.scalar_type())});
}

/// Values and gradients of f and the plain formula agree to `tolerance`.
template <class F, class G>
void check_equal(F f, G plain, const Tensors& inputs, double tolerance) {
  const at::Tensor out = f(inputs), expected = plain(inputs);
  CHECK(out.scalar_type() == expected.scalar_type());
  CHECK(relative_difference(out, expected) <= tolerance);
  const Tensors got = gradients(f, inputs), wanted = gradients(plain, inputs);
  for (size_t i = 0; i < got.size(); ++i) {
    INFO("gradient " << i);
    CHECK(got[i].scalar_type() == wanted[i].scalar_type());
    CHECK(relative_difference(got[i], wanted[i]) <= tolerance);
  }
}

double tolerance_of(at::ScalarType type) {
  if (type == at::kFloat) return kFloatTolerance;
  return type == at::kDouble ? 1e-14 : 0;  // half types take the plain operations themselves
}

constexpr at::ScalarType kTypes[] = {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf};

TEST_CASE("rms_norm: gradient") {
  torch::manual_seed(1);
  const auto f = [](const Tensors& in) { return rms_norm(in[0], in[1], kEps); };
  CHECK(gradient_error(f, {at::randn({3, 5}, kDouble), at::randn({5}, kDouble)}) == "");
  CHECK(gradient_error(f, {at::randn({2, 2, 19}, kDouble), at::randn({19}, kDouble)}) == "");
  CHECK(gradient_error(f, {at::randn({1, 1}, kDouble), at::randn({1}, kDouble)}) == "");
}

TEST_CASE("rms_norm equals the plain formula") {
  torch::manual_seed(2);
  const auto f = [](const Tensors& in) { return rms_norm(in[0], in[1], kEps); };
  const auto plain = [](const Tensors& in) { return plain_rms_norm(in[0], in[1]); };
  for (const at::ScalarType type : kTypes) {
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{1, 8}, {257, 288}, {3, 7, 33}, {0, 16}}) {
      INFO(type << " " << shape);
      const at::Tensor x = at::randn(shape).to(type), weight = at::randn({shape.back()}).to(type);
      check_equal(f, plain, {x, weight}, tolerance_of(type));
    }
  }
  const at::Tensor wide = at::randn({6, 40});
  check_equal([](const Tensors& in) { return rms_norm(in[0].slice(1, 0, 40, 2), in[1], kEps); },
              [](const Tensors& in) { return plain_rms_norm(in[0].slice(1, 0, 40, 2), in[1]); },
              {wide, at::randn({20})}, kFloatTolerance);
  CHECK(rms_norm(at::zeros({2, 4}), at::ones({4}), kEps).eq(0).all().item<bool>());
}

TEST_CASE("rms_norm: one gradient without the other") {
  const at::Tensor x = at::randn({3, 8}), weight = at::randn({8});
  const at::Tensor input = x.clone().requires_grad_(), scale = weight.clone().requires_grad_();
  rms_norm(input, weight, kEps).sum().backward();
  rms_norm(x, scale, kEps).sum().backward();
  const Tensors both =
      gradients([](const Tensors& in) { return rms_norm(in[0], in[1], kEps).sum(); }, {x, weight});
  torch::manual_seed(5);
  const float cotangent = at::randn({}).item<float>();  // the one that gradients() draws
  CHECK(relative_difference(input.grad() * cotangent, both[0]) <= kFloatTolerance);
  CHECK(relative_difference(scale.grad() * cotangent, both[1]) <= kFloatTolerance);
}

TEST_CASE("apply_rotary: gradient") {
  const auto angle = angles(4, 6, kDouble);
  const auto f = [&](const Tensors& in) { return apply_rotary(in[0], angle[0], angle[1]); };
  CHECK(gradient_error(f, {at::randn({4, 2, 6}, kDouble)}) == "");
}

TEST_CASE("apply_rotary equals the plain formula") {
  torch::manual_seed(3);
  for (const at::ScalarType type : kTypes) {
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{1, 1, 2}, {257, 6, 48}, {5, 3, 10}}) {
      INFO(type << " " << shape);
      Tensors angle = angles(shape[0], shape[2], at::kFloat);
      for (at::Tensor& table : angle) table = table.to(type);
      check_equal([&](const Tensors& in) { return apply_rotary(in[0], angle[0], angle[1]); },
                  [&](const Tensors& in) { return plain_rotary(in[0], angle[0], angle[1]); },
                  {at::randn(shape).to(type)}, tolerance_of(type));
    }
  }
  // A slice of a merged projection: rows further apart than H * E.
  const Tensors angle = angles(9, 8, at::kFloat);
  const auto heads = [](const at::Tensor& x) { return x.slice(1, 16, 32).view({9, 2, 8}); };
  check_equal([&](const Tensors& in) { return apply_rotary(heads(in[0]), angle[0], angle[1]); },
              [&](const Tensors& in) { return plain_rotary(heads(in[0]), angle[0], angle[1]); },
              {at::randn({9, 48})}, kFloatTolerance);
}

TEST_CASE("apply_rotary keeps lengths and relative angles") {
  const auto angle = angles(6, 8, kDouble);
  const at::Tensor q = at::randn({1, 1, 8}, kDouble).expand({6, 1, 8});
  const at::Tensor k = at::randn({1, 1, 8}, kDouble).expand({6, 1, 8});
  const at::Tensor a = apply_rotary(q, angle[0], angle[1]).squeeze(1);
  const at::Tensor b = apply_rotary(k, angle[0], angle[1]).squeeze(1);
  CHECK(relative_difference(a.norm(2, 1), q.squeeze(1).norm(2, 1)) < 1e-14);
  const at::Tensor scores = at::mm(a, b.t());  // depends on the distance alone
  CHECK(relative_difference(scores.diagonal(2), scores[0][2].expand({4})) < 1e-13);
}

TEST_CASE("swiglu: gradient") {
  const auto f = [](const Tensors& in) { return swiglu(in[0], in[1]); };
  CHECK(gradient_error(f, {at::randn({3, 5}, kDouble), at::randn({3, 5}, kDouble)}) == "");
  CHECK(gradient_error(f, {10 * at::randn({2, 11}, kDouble), at::randn({2, 11}, kDouble)}) == "");
}

TEST_CASE("swiglu equals the plain formula") {
  torch::manual_seed(4);
  const auto f = [](const Tensors& in) { return swiglu(in[0], in[1]); };
  const auto plain = [](const Tensors& in) { return plain_swiglu(in[0], in[1]); };
  for (const at::ScalarType type : kTypes) {
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{1, 1}, {129, 77}, {64, 256}, {0, 4}}) {
      INFO(type << " " << shape);
      check_equal(f, plain, {(4 * at::randn(shape)).to(type), at::randn(shape).to(type)},
                  tolerance_of(type));
    }
  }
  // Halves of a merged projection, as views.
  check_equal(
      [](const Tensors& in) { return swiglu(in[0].slice(1, 0, 24), in[0].slice(1, 24)); },
      [](const Tensors& in) { return plain_swiglu(in[0].slice(1, 0, 24), in[0].slice(1, 24)); },
      {at::randn({7, 48})}, kFloatTolerance);
  const at::Tensor extreme = torch::tensor({-200.f, -90.f, -0.f, 90.f, 200.f});
  CHECK(relative_difference(swiglu(extreme, at::ones(5)), at::silu(extreme)) <= kFloatTolerance);
}

TEST_CASE("normalisation: wrong shapes are named") {
  CHECK_THROWS_WITH(
      rms_norm(at::randn({2, 4}), at::randn({3}), kEps),
      Catch::Contains("rms_norm: weight must be [D] for x [..., D] = [2, 4], got [3]"));
  CHECK_THROWS_WITH(
      apply_rotary(at::randn({2, 1, 4}), at::randn({3, 4}), at::randn({3, 4})),
      Catch::Contains("apply_rotary: x [T, H, E] = [2, 1, 4] needs cos and sin [T, E], "
                      "got [3, 4] and [3, 4]"));
  CHECK_THROWS_WITH(apply_rotary(at::randn({2, 1, 3}), at::randn({2, 3}), at::randn({2, 3})),
                    Catch::Contains("E must be even"));
  CHECK_THROWS_WITH(
      swiglu(at::randn({2, 3}), at::randn({2, 4})),
      Catch::Contains("swiglu: gate and up must have one shape, got [2, 3] and [2, 4]"));
}

}  // namespace
}  // namespace hone::kernels
