#include "hone/tune/pruners/pruners.h"

#include <cmath>

#include "hone/core/error.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::tune;
using Catch::Contains;

namespace {

using Curve = std::map<int64_t, double>;

Trial trial_of(int64_t number, const Curve& curve, TrialState state = TrialState::kRunning) {
  Trial trial;
  trial.number = number;
  trial.state = state;
  trial.intermediate = curve;
  if (state == TrialState::kComplete) trial.values = {curve.rbegin()->second};
  return trial;
}

/// Minimising; complete trials with these curves.
StudyView study_of(const std::vector<Curve>& curves) {
  StudyView study{"study", {Direction::kMinimize}, {}};
  for (const Curve& curve : curves) {
    const auto number = static_cast<int64_t>(study.trials.size());
    study.trials.push_back(std::make_shared<Trial>(trial_of(number, curve, TrialState::kComplete)));
  }
  return study;
}

bool prunes(Pruner& pruner, const StudyView& study, const Curve& curve) {
  Trial trial = trial_of(99, curve);
  return pruner.prune(study, trial);
}

template <class F>
std::string config_error(F make) {
  try {
    make();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("The median pruner stops what is worse than half at the step") {
  MedianPruner pruner({.n_startup_trials = 3, .n_warmup_steps = 1});
  const StudyView study = study_of({{{1, 1}}, {{1, 2}}, {{1, 4}}, {{1, 8}}});
  CHECK_FALSE(prunes(pruner, study, {}));
  CHECK_FALSE(prunes(pruner, study, {{0, 100}}));
  CHECK_FALSE(prunes(pruner, study, {{1, 3}}));
  CHECK(prunes(pruner, study, {{1, 3.01}}));
  CHECK_FALSE(prunes(pruner, study, {{0, 2}, {1, 100}}));
  CHECK(prunes(pruner, study, {{1, NAN}}));
  CHECK_FALSE(prunes(pruner, study, {{2, 100}}));
  CHECK_FALSE(prunes(pruner, study_of({{{1, 1}}, {{1, 1}}}), {{1, 100}}));
}

TEST_CASE("The percentile pruner keeps what is among the best share, the last of them too") {
  const StudyView study = study_of({{{1, 1}}, {{1, 2}}, {{1, 4}}, {{1, 8}}});
  PercentilePruner quarter({{.n_startup_trials = 1}, 25});
  PercentilePruner all({{.n_startup_trials = 1}, 100});
  CHECK_FALSE(prunes(quarter, study, {{1, 1.75}}));  // three quarters of the way from 1 to 2
  CHECK(prunes(quarter, study, {{1, 1.76}}));
  CHECK_FALSE(prunes(all, study, {{1, 8}}));
  CHECK(prunes(all, study, {{1, 8.01}}));
  // numpy.percentile([-inf, 1], 100) is 1.
  CHECK(prunes(all, study_of({{{1, -INFINITY}}, {{1, 1}}}), {{1, 1.01}}));
}

TEST_CASE("Looks come at intervals, late if nothing was reported in time") {
  ThresholdPruner pruner({.upper = 1, .n_warmup_steps = 2, .interval_steps = 5});
  const StudyView study = study_of({});
  CHECK_FALSE(prunes(pruner, study, {{1, 9}}));
  CHECK(prunes(pruner, study, {{2, 9}}));
  CHECK_FALSE(prunes(pruner, study, {{2, 0}, {6, 9}}));
  CHECK(prunes(pruner, study, {{2, 0}, {6, 0}, {8, 9}}));
  CHECK(prunes(pruner, study, {{3, NAN}}));
}

TEST_CASE("Rungs are kept in Optuna's attributes and halve the field") {
  SuccessiveHalvingPruner pruner({.min_resource = 2, .reduction_factor = 2});
  StudyView study = study_of({});
  const auto reach = [&](int64_t number, const Curve& curve) {
    Trial trial = trial_of(number, curve);
    const bool stop = pruner.prune(study, trial);
    study.trials.push_back(std::make_shared<Trial>(trial));
    return stop;
  };
  CHECK_FALSE(reach(0, {{1, 5}}));
  CHECK(study.trials[0]->system_attrs.empty());
  CHECK_FALSE(reach(1, {{2, 5}}));
  CHECK(study.trials[1]->system_attrs == Attributes{{"completed_rung_0", 5.0}});
  CHECK(reach(2, {{2, 6}}));
  CHECK_FALSE(reach(3, {{9, 4}}));
  CHECK(study.trials[3]->system_attrs.size() == 3);
  CHECK(reach(4, {{2, NAN}}));
  CHECK(reach(5, {{2, INFINITY}}));
  CHECK(study.trials[5]->system_attrs.at("completed_rung_0").dump() == "1.7976931348623157e+308");
  // Optuna writes infinities that are read as strings.
  for (int i = 0; i < 4; ++i) {
    auto other = std::make_shared<Trial>(trial_of(6, {}));
    other->system_attrs["completed_rung_0"] = "-Infinity";
    study.trials.push_back(other);
  }
  CHECK(reach(7, {{2, 4.5}}));  // the sixth of nine; of five it would be the second
}

TEST_CASE("An open first rung is a hundredth of the longest complete trial") {
  SuccessiveHalvingPruner pruner;
  Trial trial = trial_of(9, {{5, 1}});
  CHECK_FALSE(pruner.prune(study_of({}), trial));
  CHECK_FALSE(pruner.prune(study_of({{{300, 1}}, {{600, 1}}}), trial));
  CHECK(trial.system_attrs.empty());
  trial.intermediate[6] = 1;
  CHECK_FALSE(pruner.prune(study_of({}), trial));
  CHECK(trial.system_attrs.contains("completed_rung_0"));
}

TEST_CASE("Hyperband shows a trial its bracket only, the same to every worker") {
  StudyView study = study_of(std::vector<Curve>(40, {{8, 1}}));
  HyperbandPruner one({.max_resource = 9}), other({.max_resource = 9});
  Trial trial = trial_of(7, {{0, 1}});
  CHECK(one.sampler_view(study, trial).trials.size() == 40);
  one.prune(study, trial);
  other.prune(study, trial);
  size_t seen = 0;
  for (const TrialPtr& member : study.trials) {
    const StudyView view = one.sampler_view(study, *member);
    CHECK(view.trials == other.sampler_view(study, *member).trials);
    CHECK(std::count(view.trials.begin(), view.trials.end(), member) == 1);
    CHECK(view.trials.size() < 40);
    seen += view.trials.front() == member;
  }
  CHECK(seen == 3);  // brackets: floor(log_3 9) + 1
}

TEST_CASE("The rank test needs to be sure, and a worse mean") {
  const StudyView study = study_of({{{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}}});
  WilcoxonPruner pruner;
  CHECK_FALSE(prunes(pruner, study, {{0, 2}, {1, 2}}));  // p = 1/4
  CHECK(prunes(pruner, study, {{0, 2}, {1, 3}, {3, 4}, {4, 5}}));
  CHECK_FALSE(prunes(pruner, study, {{0, 2}, {1, 3}, {3, 4}, {7, -100}, {4, 5}}));
  CHECK_FALSE(prunes(pruner, study, {{0, 2}, {1, 3}, {2, 4}, {3, INFINITY}}));
  CHECK(signed_rank_p({1, 2, 3}) == 0.125);
  CHECK(signed_rank_p({0, 0, 0}) == 1);
}

TEST_CASE("Patience stops only what does not improve") {
  const StudyView study = study_of({});
  PatientPruner alone(nullptr, {.patience = 1});
  CHECK_FALSE(prunes(alone, study, {{0, 1}, {1, 5}}));
  CHECK(prunes(alone, study, {{0, 1}, {1, 5}, {2, 5}}));
  CHECK_FALSE(prunes(alone, study, {{0, 1}, {1, 5}, {2, 1}}));
  PatientPruner both(std::make_unique<ThresholdPruner>(ThresholdOptions{.upper = 5.5}),
                     {.patience = 1});
  CHECK_FALSE(prunes(both, study, {{0, 1}, {1, 5}, {2, 5}}));
  CHECK(prunes(both, study, {{0, 1}, {1, 5}, {2, 6}}));
}

TEST_CASE("Options out of range or contradictory are named") {
  CHECK(config_error([] { PercentilePruner({{}, 101}); }) ==
        "PercentilePruner/percentile: must be in [0, 100], got 101");
  CHECK_THAT(config_error([] { SuccessiveHalvingPruner({.bootstrap_count = 1}); }),
             Contains("/bootstrap_count: needs a min_resource"));
  CHECK_THAT(config_error([] { HyperbandPruner({.min_resource = 5, .max_resource = 4}); }),
             Contains("/max_resource: must be at least min_resource 5, got 4"));
  CHECK_THAT(config_error([] { ThresholdPruner({}); }), Contains("lower or upper"));
  CHECK_THAT(config_error([] { ThresholdPruner({.lower = 2, .upper = 1}); }),
             Contains("must be at least lower 2"));
}

TEST_CASE("A recipe names its pruner") {
  CHECK(make_pruner({.kind = PrunerKind::kNone}) == nullptr);
  CHECK(dynamic_cast<MedianPruner*>(make_pruner({}).get()));
  CHECK(dynamic_cast<PatientPruner*>(make_pruner({.patient = PatientOptions{}}).get()));
  std::vector<Problem> problems;
  Validation given("/pruner", [](const std::string&) { return true; }, problems);
  PrunerOptions{.kind = PrunerKind::kThreshold}.validate(given);
  REQUIRE(problems.size() == 7);
  CHECK(problems[1].path == "/pruner/median");
  CHECK(problems[1].message == "has no effect with kind threshold; remove it");
}
