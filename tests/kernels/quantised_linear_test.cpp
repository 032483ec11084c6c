#include "hone/kernels/quantised_linear.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "support/catch.h"

namespace hone::kernels {
namespace {

at::Tensor random_codes(int64_t rows, int64_t columns) {
  return at::randint(-127, 128, {rows, columns}, at::kChar);
}

TEST_CASE("int8_product equals the sum in whole numbers, to the bit") {
  torch::manual_seed(5);
  const Int8Rows x{random_codes(3, 70), at::rand(3)}, w{random_codes(9, 70), at::rand(9)};
  const at::Tensor bias = at::randn(9);
  const at::Tensor y = int8_product(x, w, bias);
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t j = 0; j < 9; ++j) {
      const int64_t sum =
          (x.values[i].to(at::kLong) * w.values[j].to(at::kLong)).sum().item<int64_t>();
      volatile float value = static_cast<float>(sum);  // rounded after each step
      value = value * x.scales[i].item<float>();
      value = value * w.scales[j].item<float>();
      value = value + bias[j].item<float>();
      CHECK(y[i][j].item<float>() == value);
    }
  }
}

TEST_CASE("rounded_linear: values and gradients are the explicit formula's") {
  torch::manual_seed(6);
  const at::Tensor x = at::randn({5, 16}).requires_grad_();
  const at::Tensor w = at::randn({7, 16}).requires_grad_();
  const at::Tensor bias = at::randn(7).requires_grad_(), grad = at::randn({5, 7});
  for (const bool inputs : {true, false}) {
    for (const WeightFormat& format : {WeightFormat{}, WeightFormat{4, 8, true}}) {
      if (inputs && format.packed) continue;
      const at::Tensor y = rounded_linear(x, w, bias, format, {inputs});
      const at::Tensor qx = inputs ? dequantise(quantise_rows(x.detach())) : x.detach();
      const at::Tensor qw = dequantise(quantise_weight(w, format));
      CHECK(at::allclose(y, at::linear(qx, qw, bias), 1e-5, 1e-5));
      const auto grads = torch::autograd::grad({y}, {x, w, bias}, {grad});
      CHECK(at::allclose(grads[0], grad.mm(qw), 1e-5, 1e-5));
      CHECK(at::allclose(grads[1], grad.t().mm(qx), 1e-5, 1e-5));
      CHECK(at::allclose(grads[2], grad.sum(0), 1e-5, 1e-5));
    }
  }
}

TEST_CASE("quantised_linear: as rounded_linear of what was quantised") {
  torch::manual_seed(7);
  const at::Tensor x = at::randn({4, 16}).requires_grad_(), w = at::randn({6, 16});
  for (const bool inputs : {true, false}) {
    const at::Tensor y = quantised_linear(x, quantise_weight(w, {}), {}, {inputs});
    const at::Tensor same = rounded_linear(x, w, {}, {}, {inputs});
    CHECK(at::equal(y, same));
    CHECK(at::equal(torch::autograd::grad({y.sum()}, {x})[0],
                    torch::autograd::grad({same.sum()}, {x})[0]));
  }
  CHECK_THROWS_WITH(quantised_linear(x, quantise_weight(w, {4, 8, true}), {}, {}),
                    Catch::Contains("8 bits with a scale a row"));
}

TEST_CASE("a row that is not finite gives NaN, and no other row") {
  at::Tensor x = at::randn({3, 8});
  x[1][2] = NAN;
  const at::Tensor y = quantised_linear(x, quantise_weight(at::randn({4, 8}), {}), {}, {});
  CHECK(at::equal(y.isnan().any(1), torch::tensor({false, true, false})));
}

}  // namespace
}  // namespace hone::kernels
