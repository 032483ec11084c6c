#include "hone/train/controllers/early_stopping.h"

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

TEST_CASE(
    "Where the run ends by itself it goes back to the best weights, unless it ends with them") {
  const auto ended = [](const EarlyStoppingOptions& options, const std::vector<double>& values,
                        bool cut = false) {
    EarlyStopping controller(options);
    Desk desk;
    Signals signals;
    for (const double value : values) {
      signals.set("validation_loss", value);
      controller.after_evaluation(desk.step, signals, desk);
      desk.step += 10;
    }
    if (cut) controller.snapshot_lost("best");
    EarlyStopping resumed(options);
    resumed.restore(parse_json(controller.state().dump(), "state"));
    Desk other = desk;
    controller.at_end(desk.step, desk);
    resumed.at_end(other.step, other);
    CHECK((other.lines == desk.lines));
    return desk.on("rollback");
  };
  const EarlyStoppingOptions options{.patience = 3, .min_gain = 0.1};
  CHECK(ended(options, {3, 2, 2.5, 2.4}) == Decided{"40:\"best\""});
  CHECK(ended(options, {3, 2, 2.5, std::nan("")}) == Decided{"40:\"best\""});
  CHECK(ended(options, {3, 2.5, 2}).empty());
  CHECK(ended(options, {3, 2, 2.5, 1.9}).empty());  // better, if not by min_gain
  CHECK(ended(options, {3, 2, 2.5, 2.4, 2.4}) == Decided{"40:\"best\""});  // it had stopped the run
  CHECK(ended(options, {3, 2, 2.5, 2.4}, /*cut=*/true).empty());
  CHECK(ended({.patience = 3, .restore_best = false}, {3, 2, 2.5}).empty());
}

TEST_CASE("A run that became longer after it went back to its best is judged again") {
  EarlyStopping controller({.patience = 2});
  controller.begin(/*first_step=*/6);
  Desk desk;
  Signals signals;
  const auto evaluate = [&](double loss) {
    signals.set("validation_loss", loss);
    controller.after_evaluation(desk.step += 10, signals, desk);
  };
  evaluate(2);
  evaluate(2.5);
  controller.at_end(desk.step, desk);
  CHECK(desk.on("rollback") == Decided{"20:\"best\""});
  CHECK(desk.lines.back().rule == "the run has ended; the best was 2 at step 16");
  controller.after_step(desk.step + 1, signals, desk);
  evaluate(2.1);
  CHECK(desk.on("stop").empty());
  evaluate(2.1);
  CHECK(desk.on("stop") == Decided{"40:true"});
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
