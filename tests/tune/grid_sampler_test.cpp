#include "hone/tune/samplers/grid_sampler.h"

#include <set>

#include "hone/core/error.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::tune;

namespace {

const Grid kGrid = {{"b", {"x", nullptr}}, {"a", {1, 2.5, 3}}};
const Distribution kA = FloatDistribution{1, 3};
const Distribution kB = CategoricalDistribution{{"x", nullptr}};

/// Tries a point; gives it as text.
std::string attempt(Sampler& sampler, StudyView& study, TrialState state = TrialState::kComplete,
                    Attributes attributes = {}) {
  Trial trial{.number = static_cast<int64_t>(study.trials.size())};
  trial.system_attrs = std::move(attributes);
  CHECK(sampler.sample_relative(study, trial).empty());
  std::string text;
  if (!trial.system_attrs.contains("fixed_params")) {
    text = external_value(kA, sampler.sample_independent(study, trial, "a", kA)).dump() + " " +
           external_value(kB, sampler.sample_independent(study, trial, "b", kB)).dump();
  }
  trial.state = state;
  study.trials.push_back(std::make_shared<const Trial>(std::move(trial)));
  return text;
}

}  // namespace

TEST_CASE("A grid lists its points") {
  const auto points = grid_points(kGrid);
  REQUIRE(points.size() == 6);
  CHECK(points[0] == std::map<std::string, Json>{{"a", 1}, {"b", "x"}});
  CHECK(points[3] == std::map<std::string, Json>{{"a", 2.5}, {"b", nullptr}});
  CHECK_THROWS_WITH(grid_points({{"a", {}}}), Catch::Contains("a has no values"));
  const std::vector<Json> many(1000, 1);
  CHECK_THROWS_WITH(grid_points({{"a", many}, {"b", many}, {"c", many}}),
                    Catch::Contains("more than 10000000 points"));
}

TEST_CASE("A grid takes all values of discrete parameters and some of continuous ones") {
  const Grid grid = grid_of({{"i", IntDistribution{4, 12, false, 4}},
                             {"s", FloatDistribution{0, 0.3, false, 0.1}},
                             {"r", FloatDistribution{0, 1}},
                             {"l", FloatDistribution{1e-4, 1e-2, true}},
                             {"c", kB}},
                            3);
  CHECK(grid.at("i") == std::vector<Json>{4, 8, 12});
  CHECK(grid.at("s").size() == 4);
  CHECK(grid.at("s")[3] == 0.3);
  CHECK(grid.at("r") == std::vector<Json>{0.0, 0.5, 1.0});
  CHECK(grid.at("l")[1].get<double>() == Approx(1e-3));
  CHECK(grid.at("l")[2] == 1e-2);
  CHECK(grid.at("c") == std::vector<Json>{"x", nullptr});
  CHECK_THROWS_WITH(grid_of({}, 0), Catch::Contains("at least one point"));
}

TEST_CASE("Each point is tried once, those of retried and failed trials included") {
  const auto sampler = make_grid_sampler(kGrid, 4);
  StudyView study{.directions = {Direction::kMinimize}};
  attempt(*sampler, study, TrialState::kComplete, {{"fixed_params", Json::object()}});
  std::set<std::string> seen;
  for (int i = 0; i < 5; ++i) seen.insert(attempt(*sampler, study, TrialState::kFail));
  CHECK_FALSE(sampler->exhausted(study));
  seen.insert(attempt(*sampler, study, TrialState::kRunning));
  CHECK(seen.size() == 6);
  CHECK_FALSE(sampler->exhausted(study));  // it still runs
  // With nothing else left its point is tried beside it.
  attempt(*sampler, study);
  CHECK(sampler->exhausted(study));
  attempt(*sampler, study);
}

TEST_CASE("A grid that does not fit the space is refused") {
  const auto sampler = make_grid_sampler(kGrid, 0);
  StudyView study;
  Trial trial, enqueued;
  sampler->sample_relative(study, trial);
  CHECK_THROWS_WITH(sampler->sample_independent(study, trial, "z", kA),
                    Catch::Contains("no values for z"));
  CHECK_THROWS_AS(sampler->sample_independent(study, trial, "a", IntDistribution{10, 20}), Error);
  enqueued.system_attrs["fixed_params"] = Json::object();
  sampler->sample_relative(study, enqueued);
  CHECK_THROWS_WITH(sampler->sample_independent(study, enqueued, "a", kA),
                    Catch::Contains("must fix all parameters"));
  for (const Json& foreign : {Json("0"), Json(-1), Json(6), Json::object()}) {
    trial.system_attrs["grid_id"] = foreign;
    CHECK_THROWS_WITH(sampler->sample_independent(study, trial, "a", kA),
                      Catch::Contains("there is no point " + foreign.dump()));
  }
}
