#include "hone/train/controllers/batch_growth.h"

#include <cmath>

#include "controller_fixture.h"

using namespace hone;
using namespace hone::train;

namespace {

/// A step of 100 tokens a batch; the noise scale grows by 100 tokens a step.
std::vector<Event> growing(int64_t steps, double tokens = 200) {
  std::vector<Event> events;
  for (int64_t step = 1; step <= steps; ++step) {
    events.push_back({false, step, {{"tokens", tokens}, {"noise_scale", 100.0 * step}}});
  }
  return events;
}

}  // namespace

TEST_CASE("The batch doubles with the noise scale, not too often, up to its bound") {
  const BatchGrowthOptions options{.max_accumulation = 6, .every = 5};
  const Desk desk =
      check_controller(maker<BatchGrowth>(options), growing(40), Desk({{"accumulation", 2}}));
  CHECK(desk.on("accumulation") == Decided{"5:4", "10:6"});
  REQUIRE(desk.on("lr_scale").size() == 2);
  CHECK(desk.knobs.at("lr_scale").get<double>() == Approx(std::sqrt(3.0)));
  CHECK(desk.lines[1].rule ==
        "twice the step's 200 tokens are at most 1 of the noise scale 500; the rate follows the "
        "sqrt rule: times 1.414 for a batch 2 times as large");
}

TEST_CASE("The rate follows by the rule that is asked for, the share moves the bar") {
  BatchGrowthOptions options{.max_accumulation = 4, .share = 0.5, .every = 1};
  options.lr_rule = RateRule::kLinear;
  Desk desk =
      check_controller(maker<BatchGrowth>(options), growing(10), Desk({{"accumulation", 2}}));
  CHECK(desk.on("accumulation") == Decided{"8:4"});
  CHECK(desk.on("lr_scale") == Decided{"8:2.0"});
  options.lr_rule = RateRule::kNone;
  desk = check_controller(maker<BatchGrowth>(options), growing(10), Desk({{"accumulation", 2}}));
  CHECK(desk.on("lr_scale").empty());
  CHECK(
      check_controller(maker<BatchGrowth>(options), growing(10, 2000), Desk({{"accumulation", 2}}))
          .lines.empty());
}

TEST_CASE("Activations go when memory runs short") {
  const BatchGrowthOptions options{.min_headroom_mib = 100};
  const double mib = 1 << 20;
  const Desk desk = check_controller(maker<BatchGrowth>(options),
                                     steps_of("memory_headroom", {500 * mib, 99 * mib, 50 * mib}),
                                     Desk({{"accumulation", 2}, {"checkpoint_every", 0}}));
  CHECK(desk.on("checkpoint_every") == Decided{"2:1"});
  CHECK(maker<BatchGrowth>(options)()->owns() ==
        std::vector<std::string>{"accumulation", "checkpoint_every"});
  CHECK(maker<BatchGrowth>(BatchGrowthOptions{})()->owns() ==
        std::vector<std::string>{"accumulation"});
}

TEST_CASE("A run of one batch a step has no noise scale") {
  CHECK_THROWS_WITH(
      drive(maker<BatchGrowth>(BatchGrowthOptions{}), growing(1), Desk({{"accumulation", 1}})),
      Catch::Contains("set train.accumulation to at least 2"));
}
