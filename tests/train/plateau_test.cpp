#include "hone/train/controllers/plateau.h"

#include <cmath>

#include "controller_fixture.h"

using namespace hone;
using namespace hone::train;

TEST_CASE(
    "The rate is cut after more than patience evaluations without a fall, down to its floor") {
  const PlateauOptions options{.patience = 1, .threshold = 0.1, .min_scale = 0.2};
  // Bars: 9, then 7.2: 8.5 and 8.4 are no falls, and neither is anything after it.
  const Desk desk =
      check_controller(maker<Plateau>(options),
                       evaluations_of("validation_loss", {10, 8, 8.5, 8.4, 7.9, 7.8, 9, 9, 9, 9}));
  CHECK(desk.on("lr_scale") == Decided{"30:0.5", "50:0.25", "70:0.2"});
  CHECK(desk.lines[0].rule ==
        "validation_loss has not fallen by a share of 0.1 under 8 2 times in a row");
}

TEST_CASE("Cooldown forgives, absolute thresholds and loss_mean are judged every so often") {
  PlateauOptions options{.metric = PlateauMetric::kLossMean,
                         .every = 2,
                         .patience = 0,
                         .threshold = 0.5,
                         .threshold_mode = ThresholdMode::kAbs,
                         .cooldown = 2};
  // Judged: 3, 2.8 (bad: cut), 2.8 and 2.8 (forgiven), 2.8 (bad: cut).
  const Desk desk = check_controller(maker<Plateau>(options),
                                     steps_of("loss_mean", {9, 3, 0, 2.8, 9, 2.8, 9, 2.8, 9, 2.8}));
  CHECK(desk.on("lr_scale") == Decided{"4:0.5", "10:0.25"});
}

TEST_CASE("A loss that is no number is no fall") {
  const Desk desk = check_controller(
      maker<Plateau>(PlateauOptions{.patience = 1}),
      evaluations_of("validation_loss", {std::nan(""), 2, std::nan(""), std::nan("")}));
  CHECK(desk.on("lr_scale") == Decided{"30:0.5"});
}

TEST_CASE("A plateau without its signal or with options that cannot be is refused") {
  CHECK_THROWS_WITH(drive(maker<Plateau>(PlateauOptions{}), evaluations_of("loss", {1})),
                    Catch::Contains("does not measure the signal validation_loss"));
  const auto problems = problems_of(PlateauOptions{.threshold = 1});
  REQUIRE(problems.size() == 2);
  CHECK(problems[0].path == "/every");
  CHECK(problems[1].path == "/threshold");
}
