#include "hone/paths/guard.h"

#include <cmath>

#include "support/catch.h"

using namespace hone::paths;
using hone::train::Score;

namespace {

std::vector<Score> scores(double general, double law) {
  return {{"g", "general", 10, 10, 10 * std::log(general)},
          {"l", "law", 10, 10, 10 * std::log(law)}};
}

}  // namespace

TEST_CASE("The guard compares its domain with the base") {
  Guard guard({.domain = "general", .max_ratio = 1.1});
  CHECK(guard.judge(scores(50, 1)) == Guard::Verdict::kFine);
  guard.set_reference(scores(20, 30));
  CHECK(guard.judge(scores(21.9, 300)) == Guard::Verdict::kFine);
  CHECK(*guard.ratio() == Approx(1.095));
  CHECK(guard.judge(scores(22.1, 3)) == Guard::Verdict::kStop);

  Guard other({.domain = "general"});
  other.restore(hone::parse_json(guard.state().dump(), "state"));
  CHECK(*other.ratio() == *guard.ratio());
  CHECK(other.judge(scores(22.1, 3)) == Guard::Verdict::kStop);
}

TEST_CASE("Rebalancing raises the guarded domain's sets only") {
  Guard guard({.domain = "general", .action = GuardAction::kRebalance, .rebalance_factor = 3});
  guard.set_reference(scores(20, 30));
  CHECK(guard.judge(scores(30, 30)) == Guard::Verdict::kRebalance);
  CHECK(guard.rebalance({1, 2, 0.5}, {"general", "law", "general"}) ==
        std::vector<double>{3, 2, 1.5});
}

TEST_CASE("Without a guarded domain nothing is judged") {
  Guard guard{GuardOptions{}};
  guard.set_reference(scores(1, 1));
  CHECK(guard.judge(scores(99, 99)) == Guard::Verdict::kFine);
  CHECK_FALSE(guard.ratio());
}
