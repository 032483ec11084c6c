#include "hone/kernels/quantised_linear.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <functional>
#include <vector>

#include "hone/machine/isa.h"
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

/// What `work` gives by each of this CPU's instructions for 8-bit integers.
std::vector<at::Tensor> by_all(const std::function<at::Tensor()>& work) {
  const machine::Int8Isa before = machine::int8_isa();
  std::vector<at::Tensor> results;
  for (const auto isa :
       {machine::Int8Isa::kAvx2, machine::Int8Isa::kAvxVnni, machine::Int8Isa::kAvx512Vnni}) {
    if (!machine::has_int8_isa(isa)) continue;
    machine::set_int8_isa(isa);
    results.push_back(work());
  }
  machine::set_int8_isa(before);
  return results;
}

/// By whole numbers, in the order that int8_product promises.
at::Tensor plain_product(const Int8Rows& x, const Int8Rows& w, const at::Tensor& bias) {
  const at::Tensor sums = at::mm(x.values.to(at::kDouble), w.values.to(at::kDouble).t());
  const at::Tensor y = sums.to(at::kFloat).mul(x.scales.unsqueeze(1)).mul(w.scales);
  return bias.defined() ? y.add(bias) : y;
}

TEST_CASE("int8_product: the same to the bit by all instructions, whatever the shape") {
  torch::manual_seed(8);
  for (const int64_t m : {1, 2, 3, 5, 6, 7, 13, 33}) {
    for (const int64_t n : {1, 2, 3, 4, 5, 9, 70}) {
      for (const int64_t k : {1, 15, 16, 31, 33, 63, 64, 65, 130, 300}) {
        INFO(m << " x " << n << " x " << k);
        Int8Rows x{at::randint(-128, 128, {m, k}, at::kChar), at::rand(m)};
        const Int8Rows w{at::randint(-128, 128, {n, k}, at::kChar), at::rand(n)};
        if (m > 2) x.values[1].zero_();
        const at::Tensor bias = n % 2 == 1 ? at::randn(n) : at::Tensor();
        const at::Tensor wanted = plain_product(x, w, bias);
        for (const at::Tensor& y : by_all([&] { return int8_product(x, w, bias); })) {
          CHECK(at::equal(y, wanted));
        }
      }
    }
  }
}

TEST_CASE("int8_product: extremes of all codes do not overflow") {
  for (const int64_t code : {-128, 127}) {
    const Int8Rows x{at::full({2, 131071}, code, at::kChar), at::ones(2)};
    for (const int64_t weight : {-128, -127, 127}) {
      const Int8Rows w{at::full({5, 131071}, weight, at::kChar), at::ones(5)};
      const auto wanted = static_cast<float>(131071 * code * weight);
      for (const at::Tensor& y : by_all([&] { return int8_product(x, w); })) {
        CHECK(y.eq(wanted).all().item<bool>());
      }
    }
  }
  const Int8Rows wide{at::zeros({1, 131072}, at::kChar), at::ones(1)};
  CHECK_THROWS_WITH(int8_product(wide, wide), Catch::Contains("k <= 131071"));
}

TEST_CASE("int8_product: the same to the bit by any number of threads") {
  torch::manual_seed(9);
  const Int8Rows x{random_codes(40, 200), at::rand(40)}, w{random_codes(333, 200), at::rand(333)};
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor alone = int8_product(x, w);
  at::set_num_threads(3);
  const at::Tensor together = int8_product(x, w);
  at::set_num_threads(threads);
  CHECK(at::equal(alone, together));
}

TEST_CASE("a single row by codes equals the row by their numbers") {
  torch::manual_seed(10);
  for (const WeightFormat& format :
       {WeightFormat{}, WeightFormat{8, 0, true}, WeightFormat{8, 12}, WeightFormat{4, 12, true},
        WeightFormat{4, 48, true}, WeightFormat{4, 0, true}}) {
    for (const int64_t k : {48, 96, 528}) {
      const QuantisedWeight w = quantise_weight(at::randn({7, k}), format);
      const at::Tensor x = at::randn({1, k}), bias = at::randn(7);
      CHECK(at::allclose(quantised_linear(x, w, bias, {false}), at::linear(x, dequantise(w), bias),
                         1e-5, 1e-5));
    }
  }
}

TEST_CASE("quantised_linear of no rows is empty, by every format") {
  for (const WeightFormat& format :
       {WeightFormat{}, WeightFormat{8, 0, true}, WeightFormat{4, 48, true}}) {
    const QuantisedWeight w = quantise_weight(at::randn({7, 48}), format);
    CHECK(quantised_linear(at::empty({0, 48}), w, {}, {false}).sizes() == at::IntArrayRef{0, 7});
    if (!format.packed) {
      CHECK(quantised_linear(at::empty({0, 48}), w, {}, {}).sizes() == at::IntArrayRef{0, 7});
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
