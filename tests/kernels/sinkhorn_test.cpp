#include "hone/kernels/sinkhorn.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "kernels/plain_formula.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::kernels {
namespace {

using test::check_equal;
using test::gradient_error;
using test::kTypes;
using test::Tensors;
using test::tolerance_of;

/// By its definition: columns first, then rows and columns in turn.
at::Tensor plain_sinkhorn(const at::Tensor& logits, int64_t iterations, double eps) {
  at::Tensor a = logits.softmax(-1) + eps;
  a = a / (a.sum(-2, true) + eps);
  for (int64_t i = 1; i < iterations; ++i) {
    a = a / (a.sum(-1, true) + eps);
    a = a / (a.sum(-2, true) + eps);
  }
  return a;
}

TEST_CASE("sinkhorn equals its definition, for every type and number of iterations") {
  torch::manual_seed(1);
  for (const at::ScalarType type : kTypes) {
    for (const int64_t iterations : {1, 2, 20}) {
      for (const std::vector<int64_t>& shape :
           {std::vector<int64_t>{300, 4, 4}, {3, 2, 2}, {2, 5, 7, 7}, {2, 2}}) {
        INFO(type << ", " << iterations << " iterations, " << shape);
        // A float32 error of each of 39 divisions may add up.
        check_equal([&](const Tensors& in) { return sinkhorn(in[0], iterations, 1e-6); },
                    [&](const Tensors& in) { return plain_sinkhorn(in[0], iterations, 1e-6); },
                    {(2 * at::randn(shape)).to(type)}, 5 * tolerance_of(type));
      }
    }
  }
  CHECK(sinkhorn(at::empty({0, 4, 4}), 20, 1e-6).numel() == 0);
}

TEST_CASE("sinkhorn: gradient, and sums of rows and columns") {
  const at::Tensor logits = 2 * at::randn({5, 4, 4}, at::kDouble);
  CHECK(gradient_error([](const Tensors& in) { return sinkhorn(in[0], 20, 1e-6); }, {logits}) ==
        "");
  CHECK(gradient_error([](const Tensors& in) { return sinkhorn(in[0], 3, 0.1); }, {logits}) == "");
  const at::Tensor a = sinkhorn(logits, 20, 1e-6);
  CHECK((a.sum(1) - 1).abs().max().item<double>() < 1e-5);  // columns come last
  CHECK((a.sum(2) - 1).abs().max().item<double>() < 1e-2);
}

TEST_CASE("sinkhorn: wrong shapes are named") {
  CHECK_THROWS_WITH(sinkhorn(at::zeros({3, 4, 5}), 20, 1e-6),
                    Catch::Contains("logits must be [..., m, m] and iterations above 0, got "
                                    "[3, 4, 5] and 20"));
  CHECK_THROWS_WITH(sinkhorn(at::zeros({4, 4}), 0, 1e-6), Catch::Contains("[4, 4] and 0"));
}

}  // namespace
}  // namespace hone::kernels
