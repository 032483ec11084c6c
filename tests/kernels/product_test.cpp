#include "hone/kernels/product.h"

#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "hone/kernels/cpu/product.h"
#include "hone/kernels/dispatch.h"
#include "hone/kernels/linear_cross_entropy.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::kernels {
namespace {

using test::relative_difference;
using Tensors = std::vector<at::Tensor>;

/// Products in bfloat16 for the length of a scope.
struct InBfloat16 {
  InBfloat16() { set_product_type(ProductType::kBfloat16); }
  ~InBfloat16() { set_product_type(ProductType::kFloat32); }
};

/// Rounded to bfloat16, in float64.
at::Tensor rounded(const at::Tensor& x) { return x.to(at::kBFloat16).to(at::kDouble); }

// Some thousand float32 additions of numbers of one size, in any order.
constexpr double kSumTolerance = 3e-6;

TEST_CASE("project: one row by a large weight equals the product in float64") {
  torch::manual_seed(1);
  const torch::NoGradGuard no_grad;
  for (const auto& [rows, width, outputs] : {std::tuple<int64_t, int64_t, int64_t>{1, 288, 1000},
                                             {1, 301, 1001},
                                             {1, 1024, 300},
                                             {1, 40, 8000}}) {
    INFO(rows << " x " << width << " by " << outputs);
    const at::Tensor x = at::randn({rows, width}), weight = at::randn({outputs, width});
    const at::Tensor bias = at::randn({outputs});
    const at::Tensor wanted = at::linear(x.to(at::kDouble), weight.to(at::kDouble));
    CHECK(relative_difference(project(x, weight), wanted) < 1e-6);
    CHECK(relative_difference(project(x, weight, bias), wanted + bias) < 1e-6);
    CHECK(relative_difference(project(x.t().contiguous().t(), weight), wanted) < 1e-6);
    CHECK(relative_difference(project(x.to(at::kDouble), weight.to(at::kDouble)), wanted) < 1e-13);
    const InBfloat16 scope;
    CHECK(relative_difference(project(x, weight), wanted) < 1e-6);
  }
}

TEST_CASE("products in float32 are ATen's, to the bit") {
  torch::manual_seed(2);
  const at::Tensor x = at::randn({1, 288}), many = at::randn({2, 288});
  const at::Tensor large = at::randn({1000, 288}), small = at::randn({100, 288});
  const at::Tensor base = at::randn({2, 1000}), bias = at::randn({1000});
  CHECK(project(x, large).equal(at::linear(x, large)));  // grad mode
  CHECK(project(many, large, bias).equal(at::linear(many, large, bias)));
  CHECK(add_projection(base, many, large, 0.7).equal(at::addmm(base, many, large.t(), 1, 0.7)));
  const torch::NoGradGuard no_grad;
  CHECK(project(many, large).equal(at::linear(many, large)));
  CHECK(project(x, small).equal(at::linear(x, small)));
  CHECK(product(many, large.t()).equal(at::mm(many, large.t())));
  at::Tensor sum = base.clone();
  add_product(sum, many, large.t());
  CHECK(sum.equal(at::addmm(base, many, large.t())));
  CHECK_THROWS(project(x, at::randn({1000, 287})));
}

TEST_CASE("a panel is packed into its own place, however it is read and laid out") {
  torch::manual_seed(5);
  const at::Tensor x = at::randn({kPanel, kPanel});  // square: read by lines or across
  for (const bool interleaved : {false, true}) {
    for (const bool across : {false, true}) {
      constexpr uint32_t kUntouched = 0xabcdabcd;
      std::vector<uint32_t> packed(kPanel * kPanel / 2 + 1, kUntouched);
      run_rows(PackPanels{.lines = kPanel,
                          .depth = kPanel,
                          .line_stride = across ? 1 : kPanel,
                          .depth_stride = across ? kPanel : 1,
                          .interleaved = interleaved,
                          .from = read<float>(x),
                          .to = packed.data()},
               1, 1);
      CHECK(packed.back() == kUntouched);
      const at::Tensor laid = at::from_blob(packed.data(), {kPanel * kPanel}, at::kBFloat16);
      const at::Tensor lines =
          interleaved ? laid.view({kPanel / 2, kPanel, 2}).transpose(0, 1).reshape({kPanel, kPanel})
                      : laid.view({kPanel, kPanel});
      CHECK(lines.equal((across ? x.t() : x).to(at::kBFloat16)));
    }
  }
}

TEST_CASE("products in bfloat16 round the operands alone") {
  const InBfloat16 scope;
  torch::manual_seed(3);
  for (const auto& [rows, depth, columns] : {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1},
                                             {64, 64, 64},
                                             {65, 63, 129},
                                             {128, 1024, 64},
                                             {64, 2048, 64},
                                             {200, 1025, 70},
                                             {3, 2500, 8},
                                             {130, 7, 300}}) {
    INFO(rows << " x " << depth << " by " << columns);
    const at::Tensor a = at::randn({rows, depth}), b = at::randn({depth, columns});
    const at::Tensor wanted = at::mm(rounded(a), rounded(b));
    const at::Tensor a_t = a.t().contiguous().t(), b_t = b.t().contiguous().t();
    const at::Tensor apart = at::randn({2 * rows, 2 * depth}).slice(0, 0, 2 * rows, 2);
    for (const auto& [left, right] : {std::pair{a, b}, {a_t, b}, {a, b_t}, {a_t, b_t}}) {
      CHECK(product(left, right).scalar_type() == at::kFloat);
      CHECK(relative_difference(product(left, right), wanted) < kSumTolerance);
    }
    const at::Tensor spread = apart.slice(1, 0, 2 * depth, 2);  // no stride is 1
    CHECK(relative_difference(product(spread, b), at::mm(rounded(spread), rounded(b))) <
          kSumTolerance);
    at::Tensor sum = at::randn({rows, columns});
    const at::Tensor before = sum.to(at::kDouble);
    add_product(sum, a, b);
    CHECK(relative_difference(sum, before + wanted) < kSumTolerance);
  }
  CHECK_THROWS_WITH(product(at::randn({2, 3}), at::randn({4, 2})), Catch::Contains("[2, 3]"));
  CHECK(product(at::zeros({0, 3}), at::zeros({3, 2})).sizes() == at::IntArrayRef({0, 2}));
}

TEST_CASE("products in bfloat16: values that rounding could spoil") {
  const InBfloat16 scope;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const at::Tensor one = at::ones({1, 1});
  const auto through = [&](float x) { return product(at::full({1, 1}, x), one).item<float>(); };
  CHECK(through(1.00390625f) == 1.0f);       // half-way between neighbours: to the even one
  CHECK(through(1.01171875f) == 1.015625f);  // half-way, up to the even one
  CHECK(through(-0.0f) == 0.0f);
  CHECK(through(kInfinity) == kInfinity);
  CHECK(std::isnan(through(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("project in bfloat16: gradients are products in bfloat16 too") {
  torch::manual_seed(4);
  const at::Tensor x = at::randn({70, 96}), weight = at::randn({130, 96});
  const at::Tensor bias = at::randn({130}), grad = at::randn({70, 130});
  const InBfloat16 scope;
  const Tensors leaves{x.clone().requires_grad_(), weight.clone().requires_grad_(),
                       bias.clone().requires_grad_()};
  const at::Tensor y = project(leaves[0], leaves[1], leaves[2]);
  CHECK(relative_difference(y, at::mm(rounded(x), rounded(weight).t()) + bias) < kSumTolerance);
  y.backward(grad);
  const Tensors wanted{at::mm(rounded(grad), rounded(weight)),
                       at::mm(rounded(grad).t(), rounded(x)), grad.sum(0)};
  for (size_t i = 0; i < leaves.size(); ++i) {
    INFO("gradient " << i);
    CHECK(relative_difference(leaves[i].grad(), wanted[i]) < kSumTolerance);
  }
  const at::Tensor base = at::randn({70, 130}).requires_grad_();
  const at::Tensor input = x.clone().requires_grad_();
  const at::Tensor sum = add_projection(base, input, weight, 0.25);  // a frozen weight
  CHECK(relative_difference(sum, base + 0.25 * at::mm(rounded(x), rounded(weight).t())) <
        kSumTolerance);
  sum.backward(grad);
  CHECK(base.grad().equal(grad));
  // A quarter is a power of two: scaling before or after rounding is the same.
  CHECK(relative_difference(input.grad(), 0.25 * wanted[0]) < kSumTolerance);
}

TEST_CASE("project in bfloat16 leaves other types alone") {
  const InBfloat16 scope;
  torch::manual_seed(5);
  const at::Tensor x = at::randn({9, 40}, at::kDouble), weight = at::randn({30, 40}, at::kDouble);
  CHECK(project(x, weight).equal(at::linear(x, weight)));
  CHECK(add_projection(x.slice(1, 0, 30), x, weight, 2)
            .equal(at::addmm(x.slice(1, 0, 30), x, weight.t(), 1, 2)));
}

TEST_CASE("linear_cross_entropy takes its products through the door") {
  torch::manual_seed(6);
  const at::Tensor hidden = at::randn({90, 64}), weight = at::randn({200, 64});
  const at::Tensor targets = at::arange(90) * 2;
  const auto run = [&](const at::Tensor& h, const at::Tensor& w) {
    const Tensors leaves{h.clone().requires_grad_(), w.clone().requires_grad_()};
    at::Tensor loss = linear_cross_entropy(leaves[0], leaves[1], targets, {}, -100, 32);
    loss.backward();
    return Tensors{loss.detach(), leaves[0].grad(), leaves[1].grad()};
  };
  // In float64 on rounded operands; gradients of logits are rounded once more (2^-9 of each).
  const Tensors exact = run(rounded(hidden), rounded(weight)), wide = run(hidden, weight);
  const InBfloat16 scope;
  const Tensors half = run(hidden, weight);
  CHECK(relative_difference(half[0], exact[0]) < kSumTolerance);
  for (size_t i : {1, 2}) {
    CHECK(relative_difference(half[i], exact[i]) < 4e-3);
    CHECK_FALSE(half[i].equal(wide[i]));
  }
}

}  // namespace
}  // namespace hone::kernels
