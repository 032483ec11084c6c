#include "hone/kernels/with_loss.h"

#include <torch/types.h>

#include "support/catch.h"

namespace hone::kernels {
namespace {

TEST_CASE("with_loss gives a loss the gradient 1 beside that of a tensor, and changes no number") {
  const at::Tensor x = torch::tensor({2.0, -3.0}).requires_grad_();
  const at::Tensor w = torch::tensor({5.0, 7.0}).requires_grad_();
  const at::Tensor y = with_loss(x * 4, (w * w).sum());
  CHECK(at::equal(y, x * 4));
  (y.sum() * 10).backward();  // scales the gradient of y alone
  CHECK(at::equal(x.grad(), torch::tensor({40.0, 40.0})));
  CHECK(at::equal(w.grad(), torch::tensor({10.0, 14.0})));
  CHECK_THROWS_WITH(with_loss(x, w), Catch::Contains("loss must be a scalar, got [2]"));
}

}  // namespace
}  // namespace hone::kernels
