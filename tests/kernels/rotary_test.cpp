#include "hone/kernels/rotary.h"

#include <torch/types.h>
#include <torch/utils.h>

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

at::Tensor plain_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const auto halves = x.chunk(2, -1);
  return x * cos.unsqueeze(1) + at::cat({-halves[1], halves[0]}, -1) * sin.unsqueeze(1);
}

/// cos and sin [T, E] of the angles t / 100^(2i/E), both halves equal.
Tensors angles(int64_t length, int64_t size, at::TensorOptions options) {
  const at::Tensor frequency = at::pow(100, -at::arange(0, size, 2, options) / size);
  const at::Tensor angle = at::outer(at::arange(length, options), frequency).repeat({1, 2});
  return {angle.cos(), angle.sin()};
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

TEST_CASE("apply_rotary: adjoining pairs turn as complex numbers, at the end of wider heads") {
  torch::manual_seed(6);
  for (const at::ScalarType type : kTypes) {
    for (const int64_t before : {0, 5}) {
      INFO(type << " behind " << before);
      Tensors angle = angles(7, 8, at::kFloat);
      for (at::Tensor& table : angle) table = table.to(type);
      const at::Tensor turn = at::complex(angle[0].slice(1, 0, 4).to(at::kFloat),
                                          angle[1].slice(1, 0, 4).to(at::kFloat));
      const auto plain = [&](const Tensors& in) {
        const at::Tensor last = in[0].slice(2, before).to(at::kFloat).contiguous();
        const at::Tensor turned =
            at::view_as_real(at::view_as_complex(last.view({7, 3, 4, 2})) * turn.unsqueeze(1));
        return at::cat({in[0].slice(2, 0, before), turned.flatten(2).to(type)}, 2);
      };
      check_equal(
          [&](const Tensors& in) {
            return apply_rotary(in[0], angle[0], angle[1], RotaryPairs::kAdjoining);
          },
          plain, {at::randn({7, 3, before + 8}).to(type)},
          type == at::kFloat    ? kFloatTolerance
          : type == at::kDouble ? 1e-6
                                : 1e-2);
    }
  }
  // Halves behind numbers that stay.
  const Tensors angle = angles(4, 6, at::kFloat);
  check_equal([&](const Tensors& in) { return apply_rotary(in[0], angle[0], angle[1]); },
              [&](const Tensors& in) {
                return at::cat(
                    {in[0].slice(2, 0, 3), plain_rotary(in[0].slice(2, 3), angle[0], angle[1])}, 2);
              },
              {at::randn({4, 2, 9})}, kFloatTolerance);
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

TEST_CASE("apply_rotary: wrong shapes are named") {
  CHECK_THROWS_WITH(
      apply_rotary(at::randn({2, 1, 4}), at::randn({3, 4}), at::randn({3, 4})),
      Catch::Contains("apply_rotary: x [T, H, W] = [2, 1, 4] needs cos and sin [T, E] with E <= W, "
                      "got [3, 4] and [3, 4]"));
  CHECK_THROWS_WITH(apply_rotary(at::randn({2, 1, 4}), at::randn({2, 6}), at::randn({2, 6})),
                    Catch::Contains("with E <= W, got [2, 6] and [2, 6]"));
  CHECK_THROWS_WITH(apply_rotary(at::randn({2, 1, 3}), at::randn({2, 3}), at::randn({2, 3})),
                    Catch::Contains("E must be even"));
}

}  // namespace
}  // namespace hone::kernels
