#include "hone/train/early_stopping.h"

#include <cmath>

#include "controller_fixture.h"

using namespace hone;
using namespace hone::train;

TEST_CASE("The run stops after patience evaluations without a gain, with the best weights") {
  const Desk desk = check_controller(
      maker<EarlyStopping>(EarlyStoppingOptions{.patience = 3}),
      evaluations_of("validation_loss", {3, 2.5, 2.6, std::nan(""), 2.4, 2.4, 2.5, 2.6, 2.4}));
  CHECK(desk.on("snapshot") == Decided{"0:\"best\"", "10:\"best\"", "40:\"best\""});
  CHECK(desk.on("rollback") == Decided{"70:\"best\""});
  CHECK(desk.on("stop") == Decided{"70:true"});
  CHECK(desk.lines.back().rule ==
        "validation_loss has not gained in 3 evaluations; the best was 2.4 at step 40");
}

TEST_CASE(
    "Gains under min_gain do not count, a domain can be the metric, the last weights can stay") {
  const EarlyStoppingOptions options{
      .metric = "validation/law", .patience = 2, .min_gain = 0.1, .restore_best = false};
  const Desk desk =
      check_controller(maker<EarlyStopping>(options),
                       evaluations_of("validation/law", {20, 19, 18, 17.9, 17.8, 17.7}));
  CHECK(desk.on("snapshot").empty());
  CHECK(desk.on("rollback").empty());
  CHECK(desk.on("stop") == Decided{"20:true"});
}

TEST_CASE("A run that never measured a number stops where it is") {
  const Desk desk =
      check_controller(maker<EarlyStopping>(EarlyStoppingOptions{.patience = 2}),
                       evaluations_of("validation_loss", {std::nan(""), std::nan("")}));
  CHECK(desk.on("rollback").empty());
  CHECK(desk.on("stop") == Decided{"10:true"});
}

TEST_CASE("Early stopping goes by held-out scores alone") {
  CHECK_THROWS_WITH(drive(maker<EarlyStopping>(EarlyStoppingOptions{.metric = "validation/law"}),
                          evaluations_of("validation_loss", {1})),
                    Catch::Contains("does not measure the signal validation/law"));
  CHECK(problems_of(EarlyStoppingOptions{.metric = "validation/law"}).empty());
  for (const char* metric : {"loss", "validation/", "validation"}) {
    const auto problems = problems_of(EarlyStoppingOptions{.metric = metric});
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].path == "/metric");
  }
}
