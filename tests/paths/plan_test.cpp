#include <fstream>

#include "hone/config/reader.h"
#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/paths/static/static.h"
#include "search_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::paths;
using Catch::Contains;

TEST_CASE("A plan names sampler, space, pruner, objectives and what points need") {
  const test::SearchFolder folder;
  const StaticPlan plan = plan_static(
      folder.search({{"space",
                      {{"/train/decay", {{"type", "categorical"}, {"choices", {"cosine", "wsd"}}}},
                       {"/train/wsd/decay_share",
                        {{"low", 0.1}, {"high", 0.5}, {"when", {{"/train/decay", {"wsd"}}}}}}}},
                     {"objectives", {{{"metric", "loss"}}, {{"metric", "parameters"}}}},
                     {"pruner", {{"kind", "none"}}},
                     {"budget", {{"trials", 7}, {"workers", 2}}}}));
  CHECK(plan.feasible);
  for (const char* part :
       {"sampler ", "  /train/lr ", "  /train/decay ", ", where /train/decay is wsd\n",
        "pruner none: every trial runs to its end\n",
        "objective loss, minimize: of the evaluations, whose time is a trial's own\n",
        "objective parameters, minimize: about ", "2 workers, 1 ", "feasible: 100 % of 200",
        "7 trials of "}) {
    INFO(part);
    CHECK_THAT(plan.text, Contains(part));
  }
  CHECK_THAT(plan.text, !Contains("refused"));
}

TEST_CASE("A pruner that sees nothing is said to be none, one that sees is explained") {
  const test::SearchFolder folder;
  CHECK_THAT(plan_static(folder.search({{"base", {{"train", {{"eval_every", 0}}}}}})).text,
             Contains("pruner none: nothing is known of a trial before its end"));
  CHECK_THAT(plan_static(folder.search({{"pruner", {{"kind", "median"}}}})).text,
             Contains("pruner median: "));
}

TEST_CASE("Where no point may run, the plan says why and that it cannot be") {
  const test::SearchFolder folder;
  const StaticPlan plan = plan_static(folder.search({{"budget", {{"max_parameters", 10}}}}));
  CHECK_FALSE(plan.feasible);
  CHECK_THAT(plan.text, Contains("feasible: 0 % of 200 random points\n  100 % refused: ") &&
                            Contains("  for example: "));
  CHECK_THAT(plan.text, !Contains("on average"));
}

TEST_CASE("A plan of files that are not there is an error, as the search's would be") {
  const test::SearchFolder folder;
  StaticConfig config = folder.search();
  config.base.data.train[0].files = {"/no/a.jsonl"};
  CHECK_THROWS_WITH(plan_static(config), Contains("/base/data/train/0/files/0: there is no file"));
}

TEST_CASE("A grid is written as one recipe a line, without points that make none") {
  const test::SearchFolder folder;
  const StaticConfig config =
      folder.search({{"space",
                      {{"/train/lr", nullptr},
                       {"/train/steps", {{"type", "int"}, {"low", 2}, {"high", 4}}},
                       {"/architecture/num_attention_heads",
                        {{"type", "categorical"}, {"choices", {1, 2, 3}}}}}}});
  const std::string path = folder.file("grid.jsonl");
  CHECK(write_grid(config, path) == 6);  // 3 heads do not divide the width
  std::ifstream lines(path);
  std::string line;
  int64_t count = 0;
  for (; std::getline(lines, line); ++count) {
    const auto recipe = config::read_config<run::Config>(parse_json(line, "line"));
    CHECK(recipe.train.steps >= 2);
    CHECK(recipe.train.steps <= 4);
    CHECK(recipe.architecture->num_attention_heads <= 2);
  }
  CHECK(count == 6);
  CHECK_THROWS_WITH(write_grid(config, folder.file("no/grid")),
                    folder.file("no/grid") + ": cannot be written");
  CHECK_THROWS_WITH(write_grid(folder.search(), path),
                    "/space[\"/train/lr\"]/step: is needed for a grid");
}
