#include "hone/tune/importance.h"

#include "hone/core/error.h"
#include "sample_study.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::tune;

TEST_CASE("The parameter that decides is the most important, one of a single value is not") {
  StudyView study{"s", {Direction::kMaximize}, {}};
  for (int64_t i = 0; i < 100; ++i) {
    Trial trial;
    trial.number = i;
    trial.state = TrialState::kComplete;
    const double decides = static_cast<double>(i * 37 % 100) / 100;
    trial.params = {{"decides", decides, FloatDistribution{0, 1}},
                    {"idle", static_cast<double>(i) / 100, FloatDistribution{0, 1}},
                    {"single", 1, FloatDistribution{1, 1}}};
    trial.values = {decides};
    study.trials.push_back(std::make_shared<Trial>(trial));
  }
  const auto ranked = importances(study);
  REQUIRE(ranked.size() == 3);
  CHECK(ranked[0].first == "decides");
  CHECK(ranked[0].second > 0.8);
  CHECK(ranked[2] == std::pair<std::string, double>{"single", 0});
  CHECK(ranked[0].second + ranked[1].second == Approx(1));
  CHECK(importances(study, {.normalize = false})[0].second > 10 * ranked[2].second);
}

TEST_CASE("Too few trials make all equally important") {
  const StudyView study = sample::study(1);
  for (const auto& [name, importance] : importances(study)) CHECK(importance == Approx(1.0 / 3));
  for (const auto& [name, raw] : importances(study, {.normalize = false})) CHECK(raw == 0);
  CHECK(importances({"s", {Direction::kMinimize}, {}}).empty());
  CHECK(importances(sample::two_objectives(60)).size() == 4);
  CHECK_THROWS_AS(importances(study, {.target_quantile = 1}), Error);
}
