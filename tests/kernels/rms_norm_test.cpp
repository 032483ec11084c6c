#include "hone/kernels/rms_norm.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "kernels/plain_formula.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::kernels {
namespace {

using test::check_equal;
using test::gradient_error;
using test::gradients;
using test::kFloatTolerance;
using test::kTypes;
using test::relative_difference;
using test::Tensors;
using test::tolerance_of;

const auto kDouble = at::TensorOptions().dtype(at::kDouble);
constexpr double kEps = 1e-6;

at::Tensor plain_rms_norm(const at::Tensor& x, const at::Tensor& weight) {
  const at::Tensor wide = x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
  return weight * (wide * at::rsqrt(wide.square().mean(-1, true) + kEps)).to(x.scalar_type());
}

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

TEST_CASE("rms_norm: wrong shapes are named") {
  CHECK_THROWS_WITH(
      rms_norm(at::randn({2, 4}), at::randn({3}), kEps),
      Catch::Contains("rms_norm: weight must be [D] for x [..., D] = [2, 4], got [3]"));
}

}  // namespace
}  // namespace hone::kernels
