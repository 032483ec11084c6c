#include "hone/train/controllers/freezing.h"

#include <cmath>

#include "controller_fixture.h"

using namespace hone;
using namespace hone::train;

namespace {

MakeController freezing(const FreezingOptions& options, const std::vector<int64_t>& layers) {
  return [=] { return std::make_unique<Freezing>(options, layers); };
}

const Desk kDesk({{"frozen_layers", Json::array()}});

/// Ratios of three layers, measured at every fifth step.
std::vector<Event> ratios(int64_t steps, double first, double second, double third) {
  std::vector<Event> events;
  for (int64_t step = 1; step <= steps; ++step) {
    events.push_back({false, step, {{"loss", 1}}});
    if (step % 5 != 0) continue;
    events.back().measured = {
        {"update_ratio/0", first}, {"update_ratio/1", second}, {"update_ratio/2", third}};
  }
  return events;
}

}  // namespace

TEST_CASE("A layer whose updates stay small for long enough trains no more") {
  const FreezingOptions options{.threshold = 0.01, .patience = 10};
  auto events = ratios(30, 0.001, 0.001, 0.1);
  events[9].measured["update_ratio/1"] = 0.02;  // at step 10 it moves again
  const Desk desk = check_controller(freezing(options, {0, 1, 2}), events, kDesk);
  CHECK(desk.on("frozen_layers") == Decided{"15:[0]", "25:[0,1]"});
  CHECK(desk.lines[0].rule == "update_ratio/0 stayed under 0.01 for 10 steps");
}

TEST_CASE("Some layers always train, and a ratio that is no number freezes none") {
  const FreezingOptions options{.threshold = 0.01, .patience = 5, .min_trainable = 2};
  const Desk desk =
      check_controller(freezing(options, {0, 1, 2}), ratios(40, std::nan(""), 0.001, 0.001), kDesk);
  CHECK(desk.on("frozen_layers") == Decided{"10:[1]"});
}

TEST_CASE("Gradual unfreezing adds layers from the top") {
  const FreezingOptions options{.mode = FreezingMode::kGradualUnfreezing, .every = 10};
  const Desk desk = check_controller(freezing(options, {0, 1, 2, 3}), ratios(45, 1, 1, 1), kDesk);
  CHECK(desk.on("frozen_layers") == Decided{"0:[0,1,2]", "10:[0,1]", "20:[0]", "30:[]"});
}

TEST_CASE("Layers that were cut before are not counted: numbers are those of tensor names") {
  const FreezingOptions gradual{.mode = FreezingMode::kGradualUnfreezing, .every = 10};
  const Desk desk = check_controller(freezing(gradual, {2, 4, 5}), ratios(25, 1, 1, 1), kDesk);
  CHECK(desk.on("frozen_layers") == Decided{"0:[2,4]", "10:[2]", "20:[]"});
  const FreezingOptions settled{.threshold = 0.01, .patience = 5};
  CHECK(check_controller(freezing(settled, {1, 2, 5}), ratios(40, 0.001, 0.001, 0.001), kDesk)
            .on("frozen_layers") == Decided{"10:[1]", "10:[1,2]"});
}

TEST_CASE("Freezing that cannot be is refused") {
  CHECK_THROWS_WITH(drive(freezing({.min_trainable = 2}, {0, 1}), {}, kDesk),
                    Catch::Contains("below the model's 2 layers, got 2"));
  CHECK(problems_of(FreezingOptions{}).size() == 1);
  CHECK(problems_of(FreezingOptions{.mode = FreezingMode::kGradualUnfreezing}).size() == 2);
}
