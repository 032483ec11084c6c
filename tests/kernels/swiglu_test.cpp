#include "hone/kernels/swiglu.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "kernels/plain_formula.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::kernels {
namespace {

using test::check_equal;
using test::gradient_error;
using test::kFloatTolerance;
using test::kTypes;
using test::relative_difference;
using test::Tensors;
using test::tolerance_of;

const auto kDouble = at::TensorOptions().dtype(at::kDouble);

at::Tensor plain_swiglu(const at::Tensor& gate, const at::Tensor& up) {
  return at::silu(gate) * up;
}

at::Tensor plain_clamped(const at::Tensor& gate, const at::Tensor& up, double limit) {
  return plain_swiglu(gate.clamp_max(limit), up.clamp(-limit, limit));
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

TEST_CASE("swiglu: beyond a limit gate and up are clamped and get no gradient") {
  torch::manual_seed(5);
  constexpr double kLimit = 0.7;
  const auto f = [](const Tensors& in) { return swiglu(in[0], in[1], kLimit); };
  const auto plain = [](const Tensors& in) { return plain_clamped(in[0], in[1], kLimit); };
  CHECK(gradient_error(f, {at::randn({3, 7}, kDouble), at::randn({3, 7}, kDouble)}) == "");
  for (const at::ScalarType type : kTypes) {
    check_equal(f, plain, {at::randn({29, 40}).to(type), at::randn({29, 40}).to(type)},
                tolerance_of(type));
  }
  const at::Tensor nan = at::full({1, 1}, std::nan(""));
  CHECK(swiglu(nan, at::ones({1, 1}), kLimit).isnan().all().item<bool>());
  CHECK(swiglu(at::ones({1, 1}), nan, kLimit).isnan().all().item<bool>());
}

TEST_CASE("swiglu: wrong shapes are named") {
  CHECK_THROWS_WITH(
      swiglu(at::randn({2, 3}), at::randn({2, 4})),
      Catch::Contains("swiglu: gate and up must have one shape, got [2, 3] and [2, 4]"));
}

}  // namespace
}  // namespace hone::kernels
