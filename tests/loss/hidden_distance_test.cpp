#include "hone/loss/hidden_distance.h"

#include <torch/types.h>

#include <vector>

#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::loss {
namespace {

using test::gradient_error;
using test::relative_difference;
using Tensors = std::vector<at::Tensor>;

const auto kDouble = at::TensorOptions().dtype(at::kDouble);
constexpr HiddenDistance kAll[] = {HiddenDistance::kCosine, HiddenDistance::kMse};

/// The gradient to a, as the header says it.
at::Tensor slope(HiddenDistance kind, const at::Tensor& a, const at::Tensor& b) {
  if (kind == HiddenDistance::kMse) return 2 * (a - b) / a.size(1);
  const at::Tensor na = a.norm(2, 1, true), nb = b.norm(2, 1, true);
  const at::Tensor cosine = (a * b).sum(1, true) / (na * nb);
  return (cosine * a / na - b / nb) / na;
}

TEST_CASE("hidden_distance: values and gradients are the formulas'") {
  torch::manual_seed(1);
  const at::Tensor b = at::randn({6, 5}, kDouble), weights = at::rand({6}, kDouble);
  for (const HiddenDistance kind : kAll) {
    const at::Tensor a = at::randn({6, 5}, kDouble).requires_grad_();
    const at::Tensor sum = hidden_distance(kind, a, {}, b, weights);
    const at::Tensor plain = kind == HiddenDistance::kMse
                                 ? (a - b).pow(2).sum(1) / 5
                                 : 1 - (a * b).sum(1) / (a.norm(2, 1) * b.norm(2, 1));
    CHECK(relative_difference(sum.detach(), (plain * weights).sum().detach()) < 1e-12);
    sum.backward();
    CHECK(relative_difference(a.grad(), slope(kind, a.detach(), b) * weights.unsqueeze(1)) < 1e-12);

    const auto f = [&](const Tensors& in) {
      return hidden_distance(kind, in[0], in[1], b, weights);
    };
    CHECK(gradient_error(f, {at::randn({6, 3}, kDouble), at::randn({5, 3}, kDouble)}) == "");
    CHECK(std::abs(hidden_distance(kind, b, {}, b, weights).item<double>()) < 1e-12);
  }
}

TEST_CASE("hidden_distance: half types are compared in float32; tokens of weight 0 do not count") {
  torch::manual_seed(2);
  const at::Tensor a = at::randn({4, 8}, at::kBFloat16), b = at::randn({4, 8}, at::kBFloat16);
  const at::Tensor weights = torch::tensor({1.F, 0.F, 2.F, 0.F});
  const at::Tensor index = torch::tensor({0, 2}, at::kLong);
  for (const HiddenDistance kind : kAll) {
    const at::Tensor sum = hidden_distance(kind, a, {}, b, weights);
    CHECK(sum.scalar_type() == at::kFloat);
    CHECK(relative_difference(sum, hidden_distance(kind, a.to(at::kFloat).index_select(0, index),
                                                   {}, b.to(at::kFloat).index_select(0, index),
                                                   weights.index_select(0, index))) < 1e-6);
  }
}

TEST_CASE("hidden_distance: what does not fit is named") {
  const at::Tensor a = at::randn({4, 3}), b = at::randn({4, 5}), weights = at::ones({4});
  const auto refused = [](const at::Tensor& student, const at::Tensor& projection,
                          const at::Tensor& teacher, const at::Tensor& weights, const char* what) {
    CHECK_THROWS_WITH(hidden_distance(HiddenDistance::kMse, student, projection, teacher, weights),
                      Catch::Contains(what));
  };
  refused(a, {}, b.slice(0, 1), weights, "must be [T, D] and [T, E]");
  refused(a, {}, b, weights, "student needs a projection [5, 3]");
  refused(a, at::randn({4, 3}), b, weights, "student needs a projection [5, 3]");
  refused(a, at::randn({5, 3}), b, at::ones({3}), "weights must be [T] = [4]");
}

}  // namespace
}  // namespace hone::loss
