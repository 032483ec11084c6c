#include "hone/tune/samplers/gp_sampler.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "hone/tune/samplers/hypervolume.h"
#include "tune/drive.h"

namespace hone::tune {
namespace {

const Ordered kSpace = {{"rate", FloatDistribution{1e-5, 1e-1, true}},
                        {"kind", CategoricalDistribution{{"a", "b", "c"}}},
                        {"drop", FloatDistribution{0, 0.5, false, 0.05}},
                        {"rank", IntDistribution{1, 256, true}}};

double bowl(const Suggestion& x) {
  return std::pow(std::log10(x.at("rate")) + 3, 2) + 20 * std::pow(x.at("drop") - 0.2, 2) +
         std::pow(std::log2(x.at("rank")) - 4, 2) / 8 + std::abs(x.at("kind") - 1);
}

Objective single(double (*function)(const Suggestion&)) {
  return [function](const Suggestion& x) -> std::vector<double> { return {function(x)}; };
}

StudyView study(int objectives = 1) {
  return {"study", std::vector<Direction>(objectives, Direction::kMinimize), {}};
}

TEST_CASE("a Gaussian process finds the bottom of a bowl of mixed parameters") {
  const auto sampler = make_gp_sampler({}, 1);
  StudyView s = study();
  drive(*sampler, s, kSpace, single(bowl), 35);
  StudyView at_random = study();
  drive(*make_gp_sampler({.startup_trials = 1000}, 1), at_random, kSpace, single(bowl), 35);
  CHECK(best(s) < 0.2 * best(at_random));
  for (const TrialPtr& trial : s.trials) {
    for (const Param& param : trial->params) CHECK(contains(param.distribution, param.value));
  }
}

TEST_CASE("any process suggests the same from the same history and seed") {
  const auto sampler = make_gp_sampler({}, 1), fresh = make_gp_sampler({}, 2);
  StudyView s = study();
  drive(*sampler, s, kSpace, single(bowl), 15);
  CHECK(values(ask(*sampler, s, kSpace)) == values(ask(*fresh, s, kSpace)));
}

TEST_CASE("infinite and constant values are no obstacle") {
  const auto sampler = make_gp_sampler({.startup_trials = 4}, 1);
  StudyView s = study();
  const auto jagged = [](const Suggestion& x) -> std::vector<double> {
    return {x.at("drop") > 0.3 ? INFINITY : x.at("drop") > 0.2 ? 1.0 : -INFINITY};
  };
  drive(*sampler, s, kSpace, jagged, 10);
  StudyView flat = study();
  drive(*sampler, flat, kSpace, [](const Suggestion&) -> std::vector<double> { return {2}; }, 8);
  CHECK(flat.trials.size() == 8);
  StudyView huge = study();
  const auto far = [](const Suggestion& x) -> std::vector<double> {
    return {x.at("drop") > 0.2 ? 1.7e308 : -1.7e308};
  };
  drive(*sampler, huge, kSpace, far, 8);
  CHECK(huge.trials.size() == 8);
}

TEST_CASE("how bad the bad trials of one objective are does not hide where the best lies") {
  const Ordered line = {{"x", FloatDistribution{0, 1}}};
  for (const double best : {0.13, 0.23}) {
    const auto sampler = make_gp_sampler({.startup_trials = 8}, 1);
    StudyView s = study();
    for (int i = 0; i <= 10; ++i) {
      Trial trial;
      trial.number = trial.id = i;
      trial.params = {{"x", 0.1 * i, line[0].second}};
      complete(s, std::move(trial), [best](const Suggestion& x) -> std::vector<double> {
        return {x.at("x") > 0.55 ? 5 : std::pow(x.at("x") - best, 2)};
      });
    }
    CHECK(ask(*sampler, s, line).param("x")->value == Approx(best).margin(0.08));
  }
}

TEST_CASE("running trials are not tried again") {
  const auto sampler = make_gp_sampler({}, 1);
  const Ordered line = {{"x", FloatDistribution{0, 1}}};
  StudyView s = study();
  drive(
      *sampler, s, line,
      [](const Suggestion& x) -> std::vector<double> { return {std::pow(x.at("x") - 0.3, 2)}; },
      12);
  std::vector<double> asked;
  for (int i = 0; i < 4; ++i) {
    const Trial trial = ask(*sampler, s, line);
    for (const double other : asked) CHECK(std::abs(trial.param("x")->value - other) > 1e-4);
    asked.push_back(trial.param("x")->value);
    add(s, trial);
  }
}

TEST_CASE("no suggestion is one that may not be tried") {
  const auto sampler = make_gp_sampler({}, 1);
  sampler->may_try = [](const Suggestion& x) {
    return x.at("rank") <= 8 && x.at("rate") > 2e-3 && x.at("kind") != 1;
  };
  StudyView s = study();
  drive(*sampler, s, kSpace, single(bowl), 10);
  for (int i = 0; i < 12; ++i) {
    Trial trial = ask(*sampler, s, kSpace);
    CHECK(sampler->may_try(values(trial)));
    complete(s, std::move(trial), single(bowl));
  }
  // The best that is allowed: rank 8, rate 2e-3, kind 0 or 2.
  double least = INFINITY;
  for (size_t i = 10; i < s.trials.size(); ++i) least = std::min(least, s.trials[i]->values[0]);
  CHECK(least < 1 + 0.091 + 0.125 + 0.05);
}

TEST_CASE("recorded constraints draw the search to where they hold") {
  const auto sampler = make_gp_sampler({}, 3);
  const Ordered plane = {{"x", FloatDistribution{0, 1}}, {"y", FloatDistribution{0, 1}}};
  StudyView s = study();
  double least = INFINITY;
  int violated = 0;
  for (int i = 0; i < 30; ++i) {
    Trial trial = ask(*sampler, s, plane);
    const double x = trial.param("x")->value, y = trial.param("y")->value;
    const double limit = 0.8 - x - y;  // x + y >= 0.8
    trial.system_attrs[kConstraints] = Json{limit, -1.0};
    if (i >= 15) violated += limit > 0.02;
    if (limit <= 0) least = std::min(least, x + y);
    complete(s, std::move(trial),
             [&](const Suggestion&) -> std::vector<double> { return {x + y}; });
  }
  CHECK(least < 0.83);
  CHECK(violated <= 5);
}

TEST_CASE("where nothing feasible is known feasibility alone is sought") {
  const auto sampler = make_gp_sampler({.startup_trials = 6}, 1);
  const Ordered line = {{"x", FloatDistribution{0, 1}}};
  StudyView s = study();
  for (int i = 0; i < 6; ++i) {
    Trial trial;
    trial.number = trial.id = i;
    trial.params = {{"x", 0.1 * i, line[0].second}};
    trial.system_attrs[kConstraints] = Json{0.9 - 0.1 * i};
    complete(s, std::move(trial),
             [](const Suggestion& x) -> std::vector<double> { return {x.at("x")}; });
  }
  CHECK(ask(*sampler, s, line).param("x")->value > 0.7);
}

TEST_CASE("several objectives spread over the front, running and constrained ones too") {
  const auto sampler = make_gp_sampler({}, 1);
  const Ordered plane = {{"x", FloatDistribution{0, 1}}, {"y", FloatDistribution{0, 1}}};
  const auto schaffer = [](const Suggestion& x) -> std::vector<double> {
    const double off = x.at("y") - 0.5;
    return {std::pow(x.at("x"), 2) + off * off, std::pow(x.at("x") - 1, 2) + off * off};
  };
  StudyView s = study(2);
  drive(*sampler, s, plane, schaffer, 25);
  Losses rows;
  for (const TrialPtr& trial : s.trials) rows.push_back(trial->values);
  for (auto& row : rows) row = {std::min(row[0], 1.2), std::min(row[1], 1.2)};
  // The whole front is f2 = (1 - sqrt(f1))^2: 1.44 - 1/6 = 1.273 lie between it and (1.2, 1.2).
  CHECK(hypervolume(rows, {1.2, 1.2}) > 1.2);

  add(s, ask(*sampler, s, plane));
  const Trial beside = ask(*sampler, s, plane);
  CHECK(values(beside) != values(*s.trials.back()));
  for (size_t i = 0; i < 25; ++i) {
    Trial trial = *s.trials[i];
    trial.system_attrs[kConstraints] = Json{trial.param("x")->value - 0.5};
    s.trials[i] = std::make_shared<const Trial>(trial);
  }
  CHECK(ask(*sampler, s, plane).param("x")->value < 0.6);
  s.trials.pop_back();
  CHECK(ask(*sampler, s, plane).param("x")->value < 0.6);
}

TEST_CASE("of too many trials the best and the newest are kept") {
  const auto sampler = make_gp_sampler({.max_observations = 20}, 1);
  const Ordered line = {{"x", FloatDistribution{0, 1}}};
  StudyView s = study();
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    Trial trial;
    trial.number = trial.id = i;
    trial.params = {{"x", random.uniform(), line[0].second}};
    complete(s, std::move(trial), [](const Suggestion& x) -> std::vector<double> {
      return {std::pow(x.at("x") - 0.3, 2)};
    });
  }
  CHECK(ask(*sampler, s, line).param("x")->value == Approx(0.3).margin(0.01));
}

TEST_CASE("first trials may follow a Sobol sequence") {
  const auto sampler = make_gp_sampler({.sobol_startup = true}, 1);
  const Ordered line = {{"x", FloatDistribution{0, 1}}};
  StudyView s = study();
  drive(*sampler, s, line, [](const Suggestion&) -> std::vector<double> { return {0}; }, 9);
  // Points 1 to 8 of one dimension: of eight neighbours no two share an eighth but at the ends.
  std::set<int> eighths;
  for (int i = 1; i <= 8; ++i) {
    eighths.insert(static_cast<int>(s.trials[i]->param("x")->value * 8));
  }
  CHECK(eighths.size() >= 7);
}

}  // namespace
}  // namespace hone::tune
