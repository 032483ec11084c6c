#include "hone/kernels/projection.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::kernels {
namespace {

using test::relative_difference;

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
  }
}

TEST_CASE("project: everything else is at::linear, to the bit") {
  torch::manual_seed(2);
  const at::Tensor x = at::randn({1, 288}), many = at::randn({2, 288});
  const at::Tensor large = at::randn({1000, 288}), small = at::randn({100, 288});
  CHECK(project(x, large).equal(at::linear(x, large)));  // grad mode
  const torch::NoGradGuard no_grad;
  CHECK(project(many, large).equal(at::linear(many, large)));
  CHECK(project(x, small).equal(at::linear(x, small)));
  CHECK(project(x.to(at::kBFloat16), large.to(at::kBFloat16))
            .equal(at::linear(x.to(at::kBFloat16), large.to(at::kBFloat16))));
  CHECK_THROWS(project(x, at::randn({1000, 287})));
}

}  // namespace
}  // namespace hone::kernels
