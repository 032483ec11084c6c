#include "hone/nn/merge_experts.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "hone/kernels/experts.h"
#include "nn/modules.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::nn {
namespace {

using test::relative_difference;

Experts random_experts(int64_t count, int64_t hidden = 6) {
  return randomised(Experts(ExpertsOptions{.count = count, .dim = 5, .hidden = hidden},
                            at::TensorOptions().dtype(at::kDouble)));
}

/// What one expert makes of some tokens.
at::Tensor pass(const Experts& experts, int64_t expert) {
  torch::manual_seed(3);
  const at::Tensor x = at::randn({7, 5}, at::kDouble), ones = at::ones({7, 1}, at::kDouble);
  const at::Tensor choices = at::full({7, 1}, expert, at::kLong);
  return experts->forward(x, ones, kernels::order_by_expert(choices, experts->options.count));
}

TEST_CASE("merge_experts: hidden units in another order are the same expert") {
  Experts experts = random_experts(3);
  const at::Tensor wanted = pass(experts, 1);
  const at::Tensor order = torch::tensor({3, 0, 5, 1, 4, 2}, at::kLong);
  {
    const torch::NoGradGuard no_grad;
    experts->gate_up_proj[0].copy_(
        experts->gate_up_proj[1].index_select(0, at::cat({order, order + 6})));
    experts->down_proj[0].copy_(experts->down_proj[1].index_select(1, order));
  }
  const at::Tensor from = experts->gate_up_proj[0].clone(), other = pass(experts, 2);
  merge_experts(experts, {{.from = 0, .into = 1, .share = 0.4}});
  CHECK(relative_difference(pass(experts, 1), wanted) < 1e-13);
  CHECK(pass(experts, 2).equal(other));
  CHECK(experts->gate_up_proj[0].equal(from));
}

TEST_CASE("merge_experts: the order of hidden units is the best of all") {
  Experts experts = random_experts(2, 4);
  const auto rows = [&](int64_t e) {
    const auto halves = experts->gate_up_proj[e].detach().chunk(2, 0);
    return at::cat({halves[0], halves[1], experts->down_proj[e].detach().t()}, 1);
  };
  const at::Tensor own = rows(1).clone(), other = rows(0).clone();
  std::vector<int64_t> order = {0, 1, 2, 3};
  double best = -1e30;
  at::Tensor wanted;
  do {
    const at::Tensor placed = other.index_select(0, torch::tensor(order, at::kLong));
    const double sum = (own * placed).sum().item<double>();
    if (sum <= best) continue;
    best = sum;
    wanted = own * 0.75 + placed * 0.25;
  } while (std::next_permutation(order.begin(), order.end()));
  merge_experts(experts, {{.from = 0, .into = 1, .share = 0.25}});
  CHECK(relative_difference(rows(1), wanted) < 1e-13);
}

TEST_CASE("merge_experts: several into one, by their shares") {
  Experts experts = random_experts(3);
  const torch::NoGradGuard no_grad;
  for (const int64_t e : {0, 2}) {  // the same in every unit, whatever the order
    experts->gate_up_proj[e].fill_(0.1 * static_cast<double>(e + 1));
    experts->down_proj[e].fill_(-0.2);
  }
  const at::Tensor gate_up = experts->gate_up_proj[1].clone();
  merge_experts(experts,
                {{.from = 0, .into = 1, .share = 0.5}, {.from = 2, .into = 1, .share = 0.2}});
  CHECK(at::allclose(experts->gate_up_proj[1], gate_up * 0.3 + 0.5 * 0.1 + 0.2 * 0.3));
}

TEST_CASE("plan_merges: into the expert of the likest row, by mass") {
  // 0 and 1 are alike, 2 and 4 are, 3 is nobody's.
  const at::Tensor rows = torch::tensor(
      {{1.0, 0.1, 0.0}, {5.0, 0.0, 0.0}, {0.0, 1.0, 0.0}, {0.0, 0.0, 1.0}, {0.0, 0.9, -0.1}});
  const std::vector<double> mass = {0.1, 0.3, 0.5, 0.2, 0.1};
  const auto plan = [&](const std::vector<double>& masses, const std::vector<bool>& before) {
    return plan_merges(rows, masses, before, {false, true, true, false, false});
  };
  const auto merges = plan(mass, {true, true, true, false, true});
  REQUIRE(merges.size() == 2);
  CHECK(merges[0].from == 0);
  CHECK(merges[0].into == 1);
  CHECK(merges[0].share == Approx(0.25));
  CHECK(merges[1].from == 4);
  CHECK(merges[1].into == 2);
  CHECK(merges[1].share == Approx(0.1 / 0.6));
  const auto unused = plan(std::vector<double>(5, 0), {true, true, true, false, true});
  CHECK(unused[1].share == 0.5);
  CHECK(plan(mass, {false, true, true, false, false}).empty());
}

}  // namespace
}  // namespace hone::nn
