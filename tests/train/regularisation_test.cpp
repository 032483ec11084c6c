#include "hone/train/controllers/regularisation.h"

#include "controller_fixture.h"

using namespace hone;
using namespace hone::train;

namespace {

Desk after_gaps(const RegularisationOptions& options, const std::vector<double>& gaps,
                double dropout, double decay) {
  return check_controller(maker<Regularisation>(options),
                          evaluations_of("train_validation_gap", gaps),
                          Desk({{"dropout", dropout}, {"weight_decay", decay}}));
}

}  // namespace

TEST_CASE("Over-fitting raises dropout and decay step by step, within their bounds") {
  const Desk desk = after_gaps({}, {0.2, 0.4, 0.31, 0.5, 0.5, 0.5, 0.5, 0.1}, 0.15, 0.05);
  CHECK(desk.on("dropout").size() == 3);
  CHECK(desk.knobs.at("dropout") == 0.3);
  CHECK(desk.on("weight_decay") == Decided{"10:0.1", "20:0.2", "30:0.3"});
  CHECK(desk.lines[0].rule == "the gap 0.4 is over 0.3");
}

TEST_CASE("Under-fitting lowers them, and nothing moves away from where it should go") {
  const Desk desk = after_gaps({}, {0.01, 0.01, 0.01, 0.01}, 0.2, 0.03);
  CHECK(desk.knobs.at("dropout") == 0.1);
  CHECK(desk.on("weight_decay") == Decided{"0:0.015", "10:0.01"});
  // Under their lower bounds already: a small gap does not raise them to these.
  CHECK(after_gaps({}, {0.01, 0.01}, 0.0, 0.0).lines.empty());
  // Over their upper bounds already: a large gap does not lower them to these.
  CHECK(after_gaps({}, {0.5}, 0.5, 0.9).lines.empty());
}

TEST_CASE("A run without dropout or decay begins at the lower bounds") {
  const Desk desk = after_gaps({}, {0.5}, 0.0, 0.0);
  CHECK(desk.on("dropout") == Decided{"0:0.1"});
  CHECK(desk.on("weight_decay") == Decided{"0:0.02"});
}

TEST_CASE("One of the two can be left alone") {
  const RegularisationOptions options{.decay_factor = 1};
  CHECK(after_gaps(options, {0.5}, 0.1, 0.1).on("weight_decay").empty());
  CHECK(maker<Regularisation>(options)()->owns() == std::vector<std::string>{"dropout"});
}

TEST_CASE("Regularisation needs a gap but before the first step") {
  const Desk desk({{"dropout", 0.1}, {"weight_decay", 0.1}});
  const auto make = maker<Regularisation>(RegularisationOptions{});
  CHECK(drive(make, {{true, 0, {{"validation_loss", 2}}}}, desk).lines.empty());
  CHECK_THROWS_WITH(drive(make, {{true, 10, {{"loss", 2}}}}, desk),
                    Catch::Contains("train_validation_gap"));
}

TEST_CASE("Bounds of regularisation that cross are refused") {
  CHECK(problems_of(RegularisationOptions{}).empty());
  const auto crossed =
      problems_of(RegularisationOptions{.low_gap = 1, .min_dropout = 0.4, .min_weight_decay = 0.5});
  REQUIRE(crossed.size() == 3);
  CHECK(crossed[1].message == "must be at most max_dropout = 0.3, got 0.4");
  CHECK(problems_of(RegularisationOptions{.dropout_step = 0, .decay_factor = 1}).size() == 4);
}
