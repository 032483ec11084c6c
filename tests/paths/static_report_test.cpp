#include <filesystem>

#include "hone/core/file.h"
#include "hone/paths/static/report.h"
#include "hone/tune/search.h"
#include "hone/tune/standard_error.h"
#include "run/recipe_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::paths;
using tune::TrialState;

namespace {

/// A search over the learning rate whose trials are told by hand.
struct Told : test::RecipeFolder {
  StaticConfig config;
  tune::Study study{.name = "s", .directions = {tune::Direction::kMinimize}};
  std::vector<tune::TrialPtr> trials;

  Told() {
    config.base = RecipeFolder::config();
    config.about = "a search";
    config.space = {{"/train/lr", {.low = 0, .high = 1}}};
  }

  tune::Trial& add(TrialState state, std::vector<double> values, double lr) {
    auto trial = std::make_shared<tune::Trial>();
    trial->number = std::ssize(trials);
    trial->state = state;
    trial->values = std::move(values);
    trial->params = {{"/train/lr", lr, tune::FloatDistribution{0, 1}}};
    trials.push_back(trial);
    return *trial;
  }
  Json report() const { return write_static_report(config, study, trials, path); }
};

}  // namespace

TEST_CASE("A line for each way that a trial ends") {
  tune::Trial trial;
  trial.number = 7;
  trial.state = TrialState::kComplete;
  trial.values = {134.25, 3};
  CHECK(trial_line(trial, {}) == "trial 7 complete: 134.25, 3");
  trial.user_attrs[tune::kStandardErrors] = {0.5, nullptr};
  CHECK(trial_line(trial, {}) == "trial 7 complete: 134.25 +- 0.5, 3");
  tune::Trial failed;
  failed.number = 2;
  failed.state = TrialState::kFail;
  failed.user_attrs[tune::kError] = "no memory";
  CHECK(trial_line(failed, {}) == "trial 2 failed: no memory");
  CHECK(trial_line(failed, {{2, 5}}) == "trial 2 interrupted; trial 5 tries its point again");
  failed.user_attrs[tune::kError] = {{"code", 3}};  // another program's
  CHECK(trial_line(failed, {}) == "trial 2 failed: {\"code\":3}");
}

TEST_CASE("The report has the best trial, its recipe, and how many trials ended how") {
  Told told;
  told.add(TrialState::kComplete, {3}, 0.1);
  told.add(TrialState::kComplete, {2}, 0.25);
  told.add(TrialState::kPruned, {2.5}, 0.5);
  told.add(TrialState::kFail, {}, 0.5);
  told.add(TrialState::kRunning, {}, 0.5);
  told.add(TrialState::kWaiting, {}, 0.5);
  const Json report = told.report();
  CHECK(report.at("trials") == Json{{"complete", 2},
                                    {"pruned", 1},
                                    {"failed", 1},
                                    {"interrupted", 0},
                                    {"refused", 0},
                                    {"running", 1},
                                    {"waiting", 1}});
  CHECK(report.at("best").at("number") == 1);
  CHECK(report.at("best").at("params") == Json{{"/train/lr", 0.25}});
  CHECK_FALSE(report.contains("pareto"));
  CHECK_FALSE(report.contains("notes"));
  CHECK(report.contains("importance"));
  CHECK(read_json_file(told.file("report.json")) == report);
  for (const char* name : {"trials.csv", "trials.jsonl", "report.html"}) {
    CHECK(std::filesystem::exists(told.file(name)));
  }
  const auto best = read_best(told.path);
  REQUIRE(best);
  CHECK(best->train.lr == 0.25);
  CHECK_THAT(best->about, Catch::StartsWith("Trial 1 of the study \"s\" (2): hone-domain "));

  const std::string text = static_summary(report, "out");
  CHECK_THAT(text, Catch::StartsWith("2 trials complete, 1 pruned, 1 failed, 0 refused, 1 left\n"
                                     "best: trial 1, 2\n") &&
                       Catch::Contains("/train/lr") && Catch::EndsWith("see out/report.html"));
}

TEST_CASE("Without a complete trial there is no best") {
  Told told;
  told.add(TrialState::kFail, {}, 0.5);
  const Json report = told.report();
  CHECK(report.at("best").is_null());
  CHECK_FALSE(report.contains("importance"));
  CHECK_FALSE(read_best(told.path));
  CHECK(static_summary(report, "out") ==
        "0 trials complete, 0 pruned, 1 failed, 0 refused\nsee out/report.html");
}

TEST_CASE("Several objectives make a front, a recipe each") {
  Told told;
  told.study.directions = {tune::Direction::kMinimize, tune::Direction::kMinimize};
  told.config.objectives = {{.metric = eval::Metric::kLoss}, {.metric = eval::Metric::kParameters}};
  told.add(TrialState::kComplete, {1, 2}, 0.1);
  told.add(TrialState::kComplete, {2, 1}, 0.2);
  told.add(TrialState::kComplete, {2, 2}, 0.3);
  const Json report = told.report();
  REQUIRE(report.at("pareto").size() == 2);
  CHECK(std::filesystem::exists(told.file("pareto-0.json")));
  CHECK(std::filesystem::exists(told.file("pareto-1.json")));
  CHECK_FALSE(std::filesystem::exists(told.file("pareto-2.json")));
}

TEST_CASE("Where a recipe lacks what its trial had, a note says so") {
  Told told;
  told.add(TrialState::kComplete, {1}, 0.1)
      .params.push_back({"theirs", 3, tune::FloatDistribution{0, 9}});
  const Json noted = told.report();
  CHECK(noted.at("notes") ==
        Json{"trial 0 is not of this search: best.json is without what it had beyond the space: "
             "theirs"});
  CHECK(read_best(told.path)->train.lr == 0.1);

  told.add(TrialState::kComplete, {0.5}, 2e7).params[0].distribution =
      tune::FloatDistribution{0, 1e9};
  const Json none = told.report();
  CHECK_THAT(none.at("notes")[0].get<std::string>(),
             Catch::StartsWith("trial 1 makes no recipe, so there is no best.json: "));
  CHECK_FALSE(read_best(told.path));  // nor the one of an earlier best
}

TEST_CASE("The final runs in figures: mean, deviation, and on how many seeds the best was better") {
  Told told;
  told.add(TrialState::kComplete, {1}, 0.1);
  const auto run = [](const char* recipe, int64_t seed, Json values) {
    return Json{{"recipe", recipe}, {"seed", seed}, {"config", "h"}, {"values", std::move(values)}};
  };
  told.write("final.json",
             Json{run("best", 0, {1.0}), run("base", 0, {2.0}), run("best", 1, {3.0}),
                  run("base", 1, {2.0}), run("best", 2, {2.0}), run("base", 2, Json::array())}
                 .dump());
  const Json report = told.report();
  const Json& final = report.at("final");
  CHECK(final.at("metric") == "perplexity");
  CHECK(final.at("best") == Json{{"mean", 2.0}, {"deviation", 1.0}, {"seeds", 3}});
  CHECK(final.at("base") == Json{{"mean", 2.0}, {"deviation", 0.0}, {"seeds", 2}});
  CHECK(final.at("better_seeds") == 1);
  CHECK_THAT(static_summary(report, "out"),
             Catch::Contains("best recipe by 3 seeds: perplexity 2 +- 1\n"
                             "base recipe by 2 seeds: perplexity 2 +- 0\n"
                             "the best recipe is better on 1 of 3 seeds\n"));
}
