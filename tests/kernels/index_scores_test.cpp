#include "hone/kernels/index_scores.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::kernels {
namespace {

const auto kDouble = at::TensorOptions().dtype(at::kDouble);

TEST_CASE("index_scores: the formula, head by head") {
  torch::manual_seed(1);
  const at::Tensor q = at::randn({4, 3, 5}, kDouble), k = at::randn({6, 5}, kDouble);
  const at::Tensor weights = at::randn({4, 3}, kDouble);
  const at::Tensor products = at::einsum("lhw,pw->lhp", {q, k}) / std::sqrt(5.0);
  const at::Tensor wanted = (products.relu() * weights.unsqueeze(2)).sum(1);
  CHECK(test::relative_difference(index_scores(q, k, weights), wanted) < 1e-14);
}

TEST_CASE("best_of_row: as many as wanted, of equal numbers the first") {
  const double none = -std::numeric_limits<double>::infinity();
  const at::Tensor scores = torch::tensor(
      {{0.0, 0.0, 3.0, 0.0, 0.0}, {5.0, 1.0, 4.0, 2.0, 3.0}, {-1.0, none, none, none, none}});
  const at::Tensor wanted =
      torch::tensor({{1, 1, 1, 0, 0}, {1, 0, 1, 0, 1}, {1, 1, 1, 0, 0}}).to(at::kBool);
  CHECK(at::equal(best_of_row(scores, 3), wanted));
  CHECK(best_of_row(scores, 5).all().item<bool>());
  torch::manual_seed(3);
  const at::Tensor random = at::randn({20, 30});  // without ties topk is the reference
  const at::Tensor top = std::get<1>(random.topk(7, -1));
  CHECK(at::equal(best_of_row(random, 7), at::zeros({20, 30}, at::kBool).scatter_(1, top, true)));
}

TEST_CASE("index_loss: divergence over what is seen, and its gradient") {
  torch::manual_seed(2);
  const at::Tensor q = at::randn({5, 3, 4}, kDouble), k = at::randn({5, 4}, kDouble);
  const at::Tensor weights = at::randn({5, 3}, kDouble);
  at::Tensor seen = at::ones({5, 5}, at::kBool).tril();
  seen[4][1] = seen[3][0] = false;
  at::Tensor target = at::rand({5, 5}, kDouble) * seen;
  target[4][2] = 0;  // seen, and looked at by none
  target = target / target.sum(1, true);
  const at::Tensor scores = index_scores(q, k, weights);
  double wanted = 0;
  for (int64_t i = 0; i < 5; ++i) {
    const at::Tensor row = seen[i].nonzero().flatten();
    const at::Tensor p = target[i].index_select(0, row);
    const at::Tensor log_q = scores[i].index_select(0, row).log_softmax(0);
    for (int64_t j = 0; j < row.numel(); ++j) {
      const double mass = p[j].item<double>();
      if (mass > 0) wanted += mass * (std::log(mass) - log_q[j].item<double>());
    }
  }
  CHECK(index_loss(q, k, weights, scores, target, seen).item<double>() == Approx(wanted));
  const auto loss = [&](const std::vector<at::Tensor>& in) {
    const at::Tensor now = index_scores(in[0], in[1], in[2]);
    return index_loss(in[0], in[1], in[2], now, target, seen) * 3;
  };
  CHECK(test::gradient_error(loss, {q, k, weights}) == "");
  CHECK_THROWS_WITH(index_loss(q, k, weights, scores, target, seen[0]),
                    Catch::Contains("scores, target and seen must be [L, P] = [5, 5], got [5]"));
  CHECK_THROWS_WITH(index_loss(q, k.t(), weights, scores, target, seen),
                    Catch::Contains("k [P, W], got [5, 3, 4] and [4, 5]"));
  const at::Tensor leaf = q.clone().requires_grad_();
  const at::Tensor once = index_loss(leaf, k, weights, scores, target, seen);
  once.backward({}, /*retain_graph=*/true);
  CHECK_THROWS_WITH(once.backward(), Catch::Contains("backward once only"));
}

}  // namespace
}  // namespace hone::kernels
