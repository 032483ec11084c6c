#include "hone/core/error.h"
#include "hone/paths/static/config.h"
#include "search_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::paths;

namespace {

struct Search : test::SearchFolder {
  std::string problems(const Json& changes) const {
    try {
      search(changes);
      return "";
    } catch (const ConfigError& error) {
      return error.what();
    }
  }
  std::string file_problems(const StaticConfig& config) const {
    try {
      check_files(config);
      return "";
    } catch (const ConfigError& error) {
      return error.what();
    }
  }
};

}  // namespace

TEST_CASE("A search that can run has no problems") {
  const Search search;
  CHECK(search.problems(Json::object()) == "");
  CHECK(search.file_problems(search.search()) == "");
}

TEST_CASE("A search needs something to search, to train and to score") {
  const Search search;
  CHECK_THAT(search.problems({{"space", nullptr}}),
             Catch::Contains("/space: must hold at least one parameter"));
  CHECK(search.problems({{"space", nullptr}, {"presets", {"learning_rate"}}}) == "");
  CHECK_THAT(search.problems({{"presets", {"adapter"}}}),
             Catch::Contains("/presets: adapter needs base.tuning lora"));
  CHECK_THAT(search.problems({{"base", {{"train", {{"steps", 0}, {"eval_every", nullptr}}}}}}),
             Catch::Contains("/base/train/steps: must be above 0: a trial trains"));
  CHECK_THAT(search.problems({{"objectives", Json::array()}}),
             Catch::Contains("/objectives: must hold at least one objective"));
  CHECK_THAT(search.problems({{"base", {{"data", {{"held_out", nullptr}}}}}}),
             Catch::Contains("/objectives/0/metric: needs a data set in base.data.held_out"));
  CHECK_THAT(
      search.problems({{"objectives", {{{"metric", "loss"}, {"domains", {"law", "lav"}}}}}}),
      Catch::Contains("/objectives/0/domains/1: no data set in base.data.held_out has the domain "
                      "\"lav\"; did you mean law?"));
}

TEST_CASE("Searched keys are checked against the base") {
  const Search search;
  CHECK_THAT(search.problems({{"space", {{"/train/lrr", {{"low", 0}, {"high", 1}}}}}}),
             Catch::Contains("/train/lrr"));
}

TEST_CASE("A pruner must see trials on their way") {
  const Search search;
  const Json pruner = {{"kind", "median"}};
  CHECK(search.problems({{"pruner", pruner}}) == "");
  CHECK_THAT(search.problems({{"pruner", pruner}, {"base", {{"train", {{"eval_every", 0}}}}}}),
             Catch::Contains("/pruner: needs base.train.eval_every above 0 to see trials"));
  CHECK_THAT(search.problems({{"pruner", pruner},
                              {"objectives", {{{"metric", "parameters"}}, {{"metric", "loss"}}}}}),
             Catch::Contains("/pruner: needs perplexity or loss as the first objective"));
  CHECK(sees_trials(search.search()));
  CHECK_FALSE(sees_trials(
      search.search({{"base", {{"train", {{"eval_every", 0}}}}}, {"pruner", {{"kind", "none"}}}})));
}

TEST_CASE("The study's name and its grace, on the limit and under it") {
  const Search search;
  CHECK(search.problems({{"study", {{"heartbeat_seconds", 10}, {"grace_seconds", 20}}}}) == "");
  CHECK_THAT(search.problems({{"study", {{"heartbeat_seconds", 10}, {"grace_seconds", 19.9}}}}),
             Catch::Contains("/study/grace_seconds: must be at least twice heartbeat_seconds"));
  CHECK_THAT(search.problems({{"study", {{"name", ""}}}}),
             Catch::Contains("/study/name: must not be empty"));
  const auto retry = retry_options({.grace_seconds = 7, .max_retries = 2});
  CHECK(retry.grace_seconds == 7);
  CHECK(retry.max_retries == 2);
}

TEST_CASE("Final data without final runs has no effect") {
  const Search search;
  CHECK_THAT(
      search.problems({{"final", {{"held_out", {{{"files", {search.held}}, {"domain", "law"}}}}}}}),
      Catch::Contains("/final/held_out: has no effect with seeds 0"));
}

TEST_CASE("The study's directions are the objectives'") {
  const Search search;
  const auto of = [&](const Json& objectives) {
    return directions(search.search({{"objectives", objectives}}));
  };
  using Directions = std::vector<tune::Direction>;
  CHECK((of({{{"metric", "loss"}}, {{"metric", "parameters"}, {"direction", "maximize"}}}) ==
         Directions{tune::Direction::kMinimize, tune::Direction::kMaximize}));
}

TEST_CASE("Files of base, objectives and final runs are missed by name, and none is trained on") {
  const Search search;
  StaticConfig config = search.search();
  config.base.data.train[0].files = {"/no/a.jsonl"};
  config.objectives = {{.metric = eval::Metric::kAccuracy, .file = "/no/rows.jsonl"}};
  config.final = {.seeds = 1, .held_out = {{.files = {"/no/b.jsonl"}}}};
  CHECK(search.file_problems(config) ==
        "/base/data/train/0/files/0: there is no file /no/a.jsonl\n"
        "/objectives/0/file: there is no file /no/rows.jsonl\n"
        "/final/held_out/0/files/0: there is no file /no/b.jsonl");

  StaticConfig leaking = search.search();
  leaking.objectives = {{.metric = eval::Metric::kAccuracy, .file = search.train}};
  leaking.final = {.seeds = 1, .held_out = {{.files = {search.train}}}};
  const std::string text = search.file_problems(leaking);
  CHECK_THAT(text, Catch::Contains("/final/held_out/0/files: " + search.train + " is trained on"));
  CHECK_THAT(text, Catch::Contains("/objectives/0/file: ") && Catch::Contains("is trained on"));
}
