#include "hone/tune/search.h"

#include <cmath>

#include "hone/core/error.h"
#include "hone/tune/pruners/percentile_pruner.h"
#include "hone/tune/samplers/random_sampler.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

using namespace hone;
using namespace hone::tune;

namespace {

/// A study of one real parameter in a database of its own.
struct Fixture {
  Fixture() : storage(open_storage(folder.path + "/study.db")) {
    study = storage->create_study("s", {Direction::kMinimize});
  }

  Search search(FeasibilityCheck check = {}, Pruner* pruner = nullptr, int64_t max_draws = 50) {
    return Search(*storage, study, space, *sampler, pruner, std::move(check),
                  {.seed = 7, .worker = "here:1", .max_draws = max_draws});
  }

  TemporaryFolder folder;
  std::unique_ptr<Storage> storage;
  Study study;
  Space space{{{"x", {.low = 0, .high = 1}}}, "/space"};
  std::unique_ptr<Sampler> sampler = make_random_sampler(0);
};

}  // namespace

TEST_CASE("A search runs as many trials as were enqueued, and continues") {
  Fixture f;
  Search search = f.search();
  CHECK(search.enqueue(4) == 4);
  CHECK(search.enqueue(4) == 0);
  for (int i = 0; i < 4; ++i) {
    const auto trial = search.ask();
    REQUIRE(trial);
    CHECK(trial->number == i);
    CHECK(f.storage->trial(trial->id).params.at(0).value == trial->params.at(0).value);
    CHECK(search.tell(*trial, TrialState::kComplete, {trial->params[0].value}) ==
          TrialState::kComplete);
  }
  CHECK_FALSE(search.ask());
  CHECK(search.enqueue(6) == 2);
}

TEST_CASE("A trial's parameters follow from seed and number, not from who asks") {
  Fixture a, b;
  Search first = a.search(), second = b.search();
  first.enqueue(3);
  second.enqueue(3);
  const auto a0 = first.ask(), a1 = first.ask();
  const auto b0 = second.ask();
  Search third = b.search();
  const auto b1 = third.ask();
  CHECK(a0->params[0].value == b0->params[0].value);
  CHECK(a1->params[0].value == b1->params[0].value);
  CHECK(a0->params[0].value != a1->params[0].value);
}

TEST_CASE("Infeasible points are recorded, told as constraints and drawn again") {
  Fixture f;
  Search search = f.search([](const std::vector<Param>& params) {
    const double over = params[0].value - 0.2;
    return Feasibility{{over}, over > 0 ? "too much" : "", {{"fact", params[0].value}}};
  });
  search.enqueue(3);
  int refusals = 0;
  while (const auto trial = search.ask()) {
    CHECK(trial->params[0].value <= 0.2);
    CHECK(violation(*trial) == 0.0);
    search.tell(*trial, TrialState::kComplete, {1});
  }
  for (const TrialPtr& trial : f.storage->trials(f.study.id)) {
    if (!refused(*trial)) continue;
    ++refusals;
    CHECK(trial->state == TrialState::kPruned);
    CHECK(trial->user_attrs.at(kRefused) == "too much");
    CHECK(*violation(*trial) > 0);
  }
  CHECK(refusals > 0);
  CHECK(search.enqueue(3) == 0);
}

TEST_CASE("An empty feasible set is an error, and the trial waits again") {
  Fixture f;
  Search search =
      f.search([](const std::vector<Param>&) { return Feasibility{{1}, "needs 9 GiB", {}}; });
  search.enqueue(1);
  CHECK_THROWS_WITH(search.ask(), Catch::Contains("no feasible point in 50 draws") &&
                                      Catch::Contains("needs 9 GiB"));
  CHECK(f.search().ask());
}

TEST_CASE("Enqueued values of a person are tried as they are") {
  Fixture f;
  Trial waiting;
  waiting.state = TrialState::kWaiting;
  waiting.system_attrs["fixed_params"] = {{"x", 0.625}};
  f.storage->create_trial(f.study.id, &waiting);
  Search search = f.search();
  CHECK(search.ask()->params[0].value == 0.625);
}

TEST_CASE("Reports reach the storage and the pruner") {
  Fixture f;
  MedianPruner pruner({.n_startup_trials = 1});
  Search search = f.search({}, &pruner);
  search.enqueue(2);
  auto good = *search.ask();
  CHECK_FALSE(search.report(good, 1, 1.0));
  search.tell(good, TrialState::kComplete, {1.0});
  auto bad = *search.ask();
  CHECK(search.report(bad, 1, 2.0));
  CHECK(search.tell(bad, TrialState::kPruned) == TrialState::kPruned);
  CHECK(f.storage->trial(bad.id).values == std::vector<double>{2.0});
}

TEST_CASE("A NaN objective is a failed trial, nothing is lost") {
  Fixture f;
  Search search = f.search();
  search.enqueue(1);
  const auto trial = search.ask();
  CHECK(search.tell(*trial, TrialState::kComplete, {std::nan("")}) == TrialState::kFail);
  CHECK(search.enqueue(1) == 1);
}

TEST_CASE(
    "An enqueued point that is none of the space fails with its reason, and the search goes on") {
  Fixture f;
  const Json points[] = {{{"x", 5}}, {{"x", "a"}}, {{"y", 0.5}}, {{"x", 0.5}}};
  for (const Json& point : points) {
    Trial waiting;
    waiting.state = TrialState::kWaiting;
    waiting.system_attrs[kFixedParams] = point;
    f.storage->create_trial(f.study.id, &waiting);
  }
  Search search = f.search();
  const auto good = search.ask();
  REQUIRE(good);
  CHECK(good->number == 3);
  const auto trials = f.storage->trials(f.study.id);
  const auto reason = [&](size_t i) {
    CHECK(trials[i]->state == TrialState::kFail);
    return trials[i]->user_attrs.at(kError).get<std::string>();
  };
  CHECK(reason(0) == "it was enqueued with x: 5 is not in 0 .. 1");
  CHECK(reason(1) == "it was enqueued with x: \"a\" is not in 0 .. 1");
  CHECK(reason(2) == "it was enqueued with the parameter y, which this search has not");
}

TEST_CASE("A trial that was interrupted is told apart from one that failed") {
  Fixture f;
  Search search = f.search();
  search.enqueue(2);
  const auto lost = *search.ask();
  f.storage->fail_and_retry(lost.id, {});
  search.tell(*search.ask(), TrialState::kFail);
  const auto trials = f.storage->trials(f.study.id);
  const auto again = tried_again(trials);
  CHECK(again == std::map<int64_t, int64_t>{{0, 2}});
  CHECK(standing(*trials[0], again) == "interrupted");
  CHECK(standing(*trials[1], again) == "failed");
  CHECK(standing(*trials[2], again) == "waiting");
}

TEST_CASE("A worker's marks are on the trials that it claims") {
  Fixture f;
  Search search(*f.storage, f.study, f.space, *f.sampler, nullptr, {},
                {.worker = "here:1", .marks = {{kProcess, "p"}, {"mark", "m"}}});
  search.enqueue(1);
  const auto trial = search.ask();
  CHECK(trial->user_attrs.at("mark") == "m");
  CHECK(trial->user_attrs.at(kWorker) == "here:1");
  CHECK(trial->user_attrs.at(kProcess) == "p");
  f.storage->fail_and_retry(trial->id, {});  // whoever claims it next says who it is
  CHECK_FALSE(f.storage->trials(f.study.id).back()->user_attrs.contains(kProcess));
}
