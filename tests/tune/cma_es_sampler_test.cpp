#include "hone/tune/samplers/cma_es_sampler.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "hone/core/error.h"
#include "tune/drive.h"

namespace hone::tune {
namespace {

const Ordered kSpace = {{"rate", FloatDistribution{1e-5, 1e-1, true}},
                        {"kind", CategoricalDistribution{{"a", "b"}}},
                        {"drop", FloatDistribution{0, 0.5, false, 0.05}},
                        {"rank", IntDistribution{4, 64, false, 4}}};

std::vector<double> bowl(const Suggestion& x) {
  return {std::pow(std::log10(x.at("rate")) + 3, 2) + 20 * std::pow(x.at("drop") - 0.2, 2) +
          std::pow(x.at("rank") / 64 - 0.5, 2)};
}

StudyView study(int objectives = 1) {
  return {"study", std::vector<Direction>(objectives, Direction::kMinimize), {}};
}

int64_t generation(const Trial& trial) {
  return trial.system_attrs.at("hone:cma").at("generation").get<int64_t>();
}

TEST_CASE("CMA-ES finds the bottom of a bowl of mixed parameters") {
  const auto owned = make_cma_es_sampler({}, 1);
  Sampler& sampler = *owned;
  StudyView s = study();
  drive(sampler, s, kSpace, bowl, 120);
  StudyView at_random = study();
  drive(*make_cma_es_sampler({.startup_trials = 1000}, 1), at_random, kSpace, bowl, 120);
  CHECK(best(s) < 0.2 * best(at_random));
  std::set<double> kinds;
  for (const TrialPtr& trial : s.trials) {
    for (const Param& param : trial->params) CHECK(contains(param.distribution, param.value));
    kinds.insert(trial->param("kind")->value);
  }
  CHECK(kinds.size() == 2);
  CHECK(s.trials[0]->system_attrs.empty());
  // Three numeric parameters: generations of 7, from the second trial on.
  CHECK(generation(*s.trials[7]) == 0);
  CHECK(generation(*s.trials[8]) == 1);
  CHECK(generation(*s.trials[119]) == 16);
}

TEST_CASE("a maximised study mirrors a minimised one") {
  const auto owned = make_cma_es_sampler({}, 1);
  Sampler& sampler = *owned;
  StudyView down = study(), up = study();
  up.directions = {Direction::kMaximize};
  drive(sampler, down, kSpace, bowl, 30);
  drive(
      sampler, up, kSpace, [](const Suggestion& x) -> std::vector<double> { return {-bowl(x)[0]}; },
      30);
  CHECK(values(*down.trials[29]) == values(*up.trials[29]));
}

TEST_CASE("any process draws the same from the same history and seed") {
  const auto owned = make_cma_es_sampler({}, 1), other = make_cma_es_sampler({}, 99);
  Sampler &sampler = *owned, &fresh = *other;
  StudyView s = study();
  drive(sampler, s, kSpace, bowl, 40);
  const Trial a = ask(sampler, s, kSpace), b = ask(fresh, s, kSpace);
  CHECK(values(a) == values(b));
  CHECK(a.system_attrs == b.system_attrs);
}

TEST_CASE("a trial that ends late does not change what its generation bred") {
  const auto owned = make_cma_es_sampler({}, 1);
  Sampler& sampler = *owned;
  StudyView s = study();
  drive(sampler, s, kSpace, bowl, 1);
  const Trial late = ask(sampler, s, kSpace);  // the first of generation 0
  add(s, late);
  drive(sampler, s, kSpace, bowl, 8);  // its other seven, then one of generation 1
  REQUIRE(generation(*s.trials[9]) == 1);
  const Trial before = ask(sampler, s, kSpace);
  Trial done = late;
  done.state = TrialState::kComplete;
  done.values = {-100};
  s.trials[1] = std::make_shared<const Trial>(done);
  CHECK(values(ask(sampler, s, kSpace)) == values(before));
}

TEST_CASE("pruned and failed trials do not end a generation") {
  const auto owned = make_cma_es_sampler({}, 1);
  Sampler& sampler = *owned;
  StudyView s = study();
  drive(sampler, s, kSpace, bowl, 1);
  for (int i = 0; i < 40; ++i) {
    Trial trial = ask(sampler, s, kSpace);
    trial.state = i % 2 ? TrialState::kPruned : TrialState::kFail;
    add(s, trial);
    CHECK(generation(trial) == 0);
  }
}

TEST_CASE("another space begins anew, and foreign or broken marks are passed over") {
  const auto owned = make_cma_es_sampler({}, 1);
  Sampler& sampler = *owned;
  StudyView s = study();
  drive(sampler, s, kSpace, bowl, 20);
  Ordered wider = kSpace;
  std::get<IntDistribution>(wider[3].second).high = 128;
  // The parameter's bounds have changed: two numeric ones are left.
  complete(s, ask(sampler, s, wider), bowl);
  CHECK(generation(ask(sampler, s, wider)) == 0);
  for (const Json& mark : {Json(3), Json{{"generation", "x"}}, Json::object()}) {
    Trial trial = ask(sampler, s, wider);
    trial.system_attrs["hone:cma"] = mark;
    complete(s, trial, bowl);
  }
  CHECK(generation(ask(sampler, s, wider)) == 0);
}

TEST_CASE("points that may not be tried are redrawn") {
  const auto owned = make_cma_es_sampler({}, 1);
  Sampler& sampler = *owned;
  StudyView s = study();
  sampler.may_try = [](const Suggestion& x) { return x.at("rank") + 100 * x.at("drop") < 50; };
  drive(sampler, s, kSpace, bowl, 1);
  int refused = 0;
  for (int i = 0; i < 60; ++i) {
    Trial trial = ask(sampler, s, kSpace);
    refused += !sampler.may_try(values(trial));
    complete(s, trial, bowl);
  }
  CHECK(refused == 0);
}

TEST_CASE("without numeric parameters all are drawn at random; several objectives are refused") {
  const auto owned = make_cma_es_sampler({}, 1);
  Sampler& sampler = *owned;
  StudyView s = study();
  drive(
      sampler, s, {{"kind", CategoricalDistribution{{"a", "b", "c"}}}},
      [](const Suggestion& x) -> std::vector<double> { return {x.at("kind")}; }, 20);
  CHECK(best(s) == 0);
  CHECK(s.trials.back()->system_attrs.empty());
  StudyView two = study(2);
  Trial trial;
  CHECK_THROWS_WITH(sampler.sample_relative(two, trial), Catch::Contains("one objective, got 2"));
}

}  // namespace
}  // namespace hone::tune
