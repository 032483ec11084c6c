#include "hone/model/sharing/gauge.h"

#include <torch/types.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "support/catch.h"

namespace hone::model {
namespace {

/// Random rows of H query heads and K key heads of 16 numbers, of 96 inputs and a bias.
HeadRows random_rows(int64_t heads, int64_t kv_heads) {
  return {torch::randn({heads, 16, 97}, at::kDouble),
          torch::randn({kv_heads, 16, 97}, at::kDouble)};
}

at::Tensor as_complex(const at::Tensor& rows) {
  const auto halves = rows.chunk(2, 1);
  return at::complex(halves[0].contiguous(), halves[1].contiguous());
}

at::Tensor as_real(const at::Tensor& rows) { return at::cat({at::real(rows), at::imag(rows)}, 1); }

/// The same heads in a random gauge; `phases`: with |a| = 1.
HeadRows regauged(const HeadRows& rows, bool phases = false) {
  const int64_t kv_heads = rows.k.size(0), group = rows.q.size(0) / kv_heads;
  at::Tensor a = torch::randn({kv_heads, rows.k.size(1) / 2, 1}, at::kComplexDouble);
  if (phases) a = a / a.abs();
  return {as_real(as_complex(rows.q) * a.repeat_interleave(group, 0)),
          as_real(as_complex(rows.k) / at::conj(a))};
}

HeadRows noisy(const HeadRows& rows, double share) {
  const auto add = [&](const at::Tensor& x) {
    return x + share * x.norm() / std::sqrt(x.numel()) * torch::randn_like(x);
  };
  return {add(rows.q), add(rows.k)};
}

/// All products q^T conj(k), a query head at a time: [H, F, D, D].
at::Tensor products(const HeadRows& rows) {
  const int64_t group = rows.q.size(0) / rows.k.size(0);
  return as_complex(rows.q).unsqueeze(3) *
         at::conj(as_complex(rows.k)).repeat_interleave(group, 0).unsqueeze(2);
}

double error_of(const HeadRows& a, const HeadRows& b) {
  const at::Tensor wanted = products(a);
  return ((products(b) - wanted).norm() / wanted.norm()).item<double>();
}

TEST_CASE("The product error is that of the products written out") {
  torch::manual_seed(1);
  const HeadRows a = random_rows(4, 2), b = noisy(a, 0.3);
  CHECK(product_error(a, b) == Approx(error_of(a, b)).epsilon(1e-9));
  CHECK(error_of(a, regauged(a)) < 1e-14);  // products do not see the gauge
}

TEST_CASE("The shared pair of a layer's copies in other gauges is that layer, biases included") {
  torch::manual_seed(2);
  const HeadRows layer = random_rows(4, 2);
  const std::vector<HeadRows> copies = {layer, regauged(layer), regauged(layer)};
  CHECK(error_of(layer, shared_rows(copies)) < 1e-14);
  CHECK(error_of(layer, mean_rows(copies)) > 0.5);
}

TEST_CASE("The shared pair of noisy copies is as good as two such copies allow, the mean is not") {
  torch::manual_seed(3);
  const HeadRows layer = random_rows(1, 1);
  const HeadRows a = regauged(noisy(layer, 0.2)), b = regauged(noisy(layer, 0.2));
  // 0.2 sqrt(2) of a product is noise, sqrt(2) less in the mean of two; 0.19 and, of the mean of
  // weights, 0.82 in reference/distributed.md 10, which drew other numbers.
  for (const HeadRows& each : {a, b}) {
    CHECK(product_error(each, shared_rows({a, b})) == Approx(0.2).margin(0.02));
    CHECK(product_error(each, mean_rows({a, b})) > 0.5);
  }
}

TEST_CASE("The shared pair's product is the best of one pair") {
  torch::manual_seed(4);
  const HeadRows a = random_rows(2, 1), b = random_rows(2, 1);
  const HeadRows best = shared_rows({a, b});
  const at::Tensor wanted = (products(a) + products(b)) / 2;        // [2, F, D, D]
  const at::Tensor stacked = wanted.transpose(0, 1).flatten(1, 2);  // [F, 2 D, D]
  const at::Tensor values = at::linalg_svdvals(stacked).square();
  const double least = (values.sum() - values.select(-1, 0).sum()).item<double>();
  const double found = (products(best) - wanted).abs().square().sum().item<double>();
  CHECK(found == Approx(least).epsilon(1e-9));
  CHECK((best.q.norm() / best.k.norm()).item<double>() ==
        Approx((a.q.norm() / a.k.norm()).item<double>()).epsilon(0.1));
}

TEST_CASE("Heads that were moved are found again, query heads within their key head's") {
  torch::manual_seed(5);
  const HeadRows layer = random_rows(6, 3);
  const HeadMatch moved{.q = {4, 5, 1, 0, 3, 2}, .k = {2, 0, 1}};
  const HeadRows other = regauged(noisy(reordered(layer, moved), 0.1));
  const HeadMatch match = match_heads(layer, other);
  CHECK(match.k == std::vector<int64_t>{1, 2, 0});
  CHECK(match.q == std::vector<int64_t>{3, 2, 5, 4, 0, 1});
  CHECK(product_error(layer, reordered(other, match)) < 0.25);
}

TEST_CASE("Heads behind a norm are shared to rounding where copies differ in phases") {
  torch::manual_seed(6);
  const HeadRows layer = random_rows(4, 2);
  const at::Tensor ones = at::ones({16}, at::kDouble);
  const std::vector<HeadNorms> norms(3, {ones, ones});
  std::vector<HeadRows> copies = {layer, regauged(layer, true), regauged(layer, true)};
  CHECK(error_of(layer, shared_normed_rows(copies, norms)) < 1e-14);

  // The norm takes a head's size away; a norm's weights that differ leave only the sign free.
  copies = {layer, {-layer.q * 3, -layer.k / 2}};
  const at::Tensor weight = at::arange(1, 17, at::kDouble);
  const HeadRows shared = shared_normed_rows(copies, {{weight, ones}, {weight, ones}});
  const auto unit = [](const at::Tensor& rows) { return rows / rows.norm(2, {1, 2}, true); };
  CHECK(at::allclose(unit(shared.q), unit(layer.q), 0, 1e-12));
  CHECK(at::allclose(unit(shared.k), unit(layer.k), 0, 1e-12));
  const HeadRows turned = regauged(layer, true);
  CHECK(error_of(layer, shared_normed_rows({layer, turned}, {{weight, ones}, {weight, ones}})) >
        0.1);
}

}  // namespace
}  // namespace hone::model
