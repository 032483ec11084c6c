#include "hone/model/rounding_quality.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "support/catch.h"

namespace hone::model {
namespace {

TEST_CASE("RoundingQuality: equals the formula, in whatever parts the rows come") {
  at::manual_seed(3);
  const at::Tensor exact = at::randn({300, 8}), head = at::randn({50, 8});
  const at::Tensor rounded = exact + 0.1 * at::randn({300, 8});
  RoundingQuality whole, parts;
  whole.add(exact, rounded, head);
  for (int64_t i = 0; i < 300; i += 100) {
    parts.add(exact.slice(0, i, i + 100), rounded.slice(0, i, i + 100), head);
  }
  const at::Tensor p = at::softmax(exact.to(at::kDouble).mm(head.t().to(at::kDouble)), 1);
  const at::Tensor q = at::softmax(rounded.to(at::kDouble).mm(head.t().to(at::kDouble)), 1);
  const at::Tensor divergence = (p * (p / q).log()).sum(1);
  const double same = p.argmax(1).eq(q.argmax(1)).to(at::kDouble).mean().item<double>();
  for (const RoundingQuality* quality : {&whole, &parts}) {
    CHECK(quality->rows() == 300);
    CHECK(quality->mean_divergence() == Approx(divergence.mean().item<double>()).epsilon(1e-5));
    CHECK(quality->p99_divergence() ==
          Approx(std::get<0>(divergence.sort())[296].item<double>()).epsilon(1e-5));
    CHECK(quality->agreement() == Approx(same));
  }
  CHECK((same > 0.5 && same < 1));
}

TEST_CASE("RoundingQuality: nothing differs from itself, and nothing is known of no rows") {
  const at::Tensor rows = at::randn({20, 4}), head = at::randn({9, 4});
  RoundingQuality quality;
  CHECK(std::isnan(quality.agreement()));
  CHECK(std::isnan(quality.mean_divergence()));
  CHECK(std::isnan(quality.p99_divergence()));
  quality.add(rows, rows, head);
  CHECK(quality.mean_divergence() == 0);
  CHECK(quality.p99_divergence() == 0);
  CHECK(quality.agreement() == 1);
}

}  // namespace
}  // namespace hone::model
