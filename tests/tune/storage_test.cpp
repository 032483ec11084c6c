#include "hone/tune/storage/storage.h"

#include <cmath>
#include <limits>

#include "storage_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::tune;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Param uniform(const std::string& name, double value) {
  return {name, value, FloatDistribution{0, 10}};
}

}  // namespace

TEST_CASE("Studies are made, found, listed and deleted") {
  StudyFile file;
  Storage& storage = *file.storage;
  const Study two = storage.create_study("two é", {Direction::kMaximize, Direction::kMinimize});
  storage.set_study_attr(two.id, "note", {{"a", 1}});
  storage.set_study_attr(two.id, "note", "new");
  storage.set_study_attr(two.id, "study:metric_names", {"acc", "ms"}, true);
  const auto found = file.open()->find_study("two é");
  REQUIRE(found);
  CHECK(found->id == two.id);
  CHECK(found->directions == std::vector{Direction::kMaximize, Direction::kMinimize});
  CHECK(found->user_attrs == Attributes{{"note", "new"}});
  CHECK(found->system_attrs == Attributes{{"study:metric_names", {"acc", "ms"}}});
  CHECK(storage.studies().size() == 2);
  CHECK_FALSE(storage.find_study("three"));

  Trial copy;
  copy.state = TrialState::kComplete;
  copy.values = {1, 2};
  copy.params = {uniform("x", 1)};
  copy.intermediate = {{1, 2.0}};
  copy.user_attrs = copy.system_attrs = {{"k", 1}};
  storage.heartbeat(storage.create_trial(two.id).id);
  storage.create_trial(two.id, &copy);
  storage.delete_study(two.id);
  CHECK(storage.studies().size() == 1);
  for (const char* table : {"trials", "trial_params", "trial_values", "trial_intermediate_values",
                            "trial_user_attributes", "trial_system_attributes", "trial_heartbeats",
                            "study_user_attributes", "study_system_attributes"}) {
    INFO(table);
    CHECK(file.sql(std::string("SELECT COUNT(*) FROM ") + table) == "0");
  }
  CHECK_THROWS_WITH(storage.trials(two.id), Catch::Contains("no study with id"));
  CHECK_THROWS_WITH(storage.delete_study(two.id), Catch::Contains("no study with id"));
  CHECK_THROWS_WITH(storage.create_study("s", {Direction::kMinimize}),
                    Catch::Contains("there is a study 's' already"));
  CHECK_THROWS_WITH(storage.create_study("none", {}), Catch::Contains("needs a direction"));
  CHECK_THROWS_WITH(storage.create_study(std::string(600, 'x'), {Direction::kMinimize}),
                    Catch::Contains("longer than 512"));
  CHECK_THROWS_WITH(storage.create_study("\xff", {Direction::kMinimize}),
                    Catch::Contains("not UTF-8"));
  CHECK_THROWS_WITH(storage.set_study_attr(99, "k", 1), Catch::Contains("no study with id"));
}

TEST_CASE("A trial runs from its start to its end") {
  StudyFile file;
  Storage& storage = *file.storage;
  const Trial begun = file.running();
  CHECK(begun.number == 0);
  CHECK(begun.state == TrialState::kRunning);
  REQUIRE(begun.start);
  const std::vector<Param> params = {
      uniform("x", 0.1),
      {"n", 4, IntDistribution{1, 8, true}},
      {"c", 1, CategoricalDistribution{{nullptr, true, 1, 1.5, "é"}}}};
  storage.set_params(begun.id, params);
  storage.report(begun.id, 1, 0.5);
  storage.report(begun.id, 1, 0.25);
  storage.report(begun.id, 2, kNaN);
  storage.report(begun.id, 3, -kInf);
  storage.set_trial_attrs(begun.id, {{"a", 1}, {"b", "x"}});
  storage.set_trial_attrs(begun.id, {{"a", {1, 2.5, nullptr}}});
  storage.set_trial_attrs(begun.id, {{kConstraints, {0.5, -1}}}, true);
  CHECK(storage.finish(begun.id, TrialState::kComplete, {kInf}) == TrialState::kComplete);

  const Trial read = file.open()->trial(begun.id);
  CHECK(read.state == TrialState::kComplete);
  CHECK(read.values == std::vector{kInf});
  CHECK(read.start == begun.start);
  CHECK(read.complete >= read.start);
  REQUIRE(read.params.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(read.params[i].name == params[i].name);
    CHECK(read.params[i].value == params[i].value);
    CHECK(read.params[i].distribution == params[i].distribution);
  }
  CHECK(read.intermediate.size() == 3);
  CHECK(read.intermediate.at(1) == 0.25);
  CHECK(std::isnan(read.intermediate.at(2)));
  CHECK(read.intermediate.at(3) == -kInf);
  CHECK(read.user_attrs == Attributes{{"a", {1, 2.5, nullptr}}, {"b", "x"}});
  CHECK(read.system_attrs == Attributes{{kConstraints, {0.5, -1}}});
}

TEST_CASE("How a trial may end") {
  StudyFile file;
  Storage& storage = *file.storage;
  const auto ends = [&](TrialState asked, std::vector<double> values, std::vector<double> reports,
                        TrialState stored, std::vector<double> kept) {
    const Trial trial = file.running();
    for (size_t i = 0; i < reports.size(); ++i) storage.report(trial.id, i, reports[i]);
    CHECK(storage.finish(trial.id, asked, values) == stored);
    const Trial read = storage.trial(trial.id);
    CHECK(read.state == stored);
    CHECK(read.values == kept);
  };
  ends(TrialState::kComplete, {1.5}, {}, TrialState::kComplete, {1.5});
  ends(TrialState::kComplete, {kNaN}, {}, TrialState::kFail, {});
  ends(TrialState::kFail, {}, {3}, TrialState::kFail, {});
  ends(TrialState::kPruned, {}, {3, 2}, TrialState::kPruned, {2});
  ends(TrialState::kPruned, {}, {3, kNaN}, TrialState::kPruned, {});
  ends(TrialState::kPruned, {}, {kInf}, TrialState::kPruned, {kInf});
  ends(TrialState::kPruned, {}, {}, TrialState::kPruned, {});

  const int64_t id = file.running().id;
  CHECK_THROWS_WITH(storage.finish(id, TrialState::kComplete), Catch::Contains("needs 1 values"));
  CHECK_THROWS_WITH(storage.finish(id, TrialState::kFail, {1}), Catch::Contains("takes no values"));
  CHECK_THROWS_WITH(storage.finish(id, TrialState::kRunning), Catch::Contains("not as running"));
  CHECK(storage.trial(id).state == TrialState::kRunning);

  const Study two = storage.create_study("2", {Direction::kMinimize, Direction::kMaximize});
  const Trial pruned = storage.create_trial(two.id);
  storage.report(pruned.id, 0, 1);
  storage.finish(pruned.id, TrialState::kPruned);
  CHECK(storage.trial(pruned.id).values.empty());
  const Trial both = storage.create_trial(two.id);
  CHECK(storage.finish(both.id, TrialState::kComplete, {1, kNaN}) == TrialState::kFail);
}

TEST_CASE("A trial that has ended never changes") {
  StudyFile file;
  Storage& storage = *file.storage;
  const int64_t id = file.running().id;
  storage.finish(id, TrialState::kComplete, {1});
  CHECK_THROWS_AS(storage.set_params(id, {uniform("x", 1)}), TrialFinished);
  CHECK_THROWS_AS(storage.report(id, 1, 1), TrialFinished);
  CHECK_THROWS_AS(storage.set_trial_attrs(id, {{"a", 1}}), TrialFinished);
  CHECK_THROWS_AS(storage.finish(id, TrialState::kFail), TrialFinished);
  CHECK_THROWS_AS(storage.fail_and_retry(id, {}), TrialFinished);
  CHECK_FALSE(storage.heartbeat(id));
  CHECK(storage.trials(file.study.id).size() == 1);
  CHECK(file.sql("SELECT COUNT(*) FROM trial_heartbeats") == "0");
  CHECK_THROWS_WITH(storage.report(77, 1, 1), Catch::Contains("no trial with id 77"));
  CHECK_THROWS_WITH(storage.trial(77), Catch::Contains("no trial with id 77"));
}

TEST_CASE("A study keeps each parameter's class, log and choices") {
  StudyFile file;
  Storage& storage = *file.storage;
  storage.set_params(file.running().id,
                     {uniform("x", 1), {"c", 0, CategoricalDistribution{{"a", "b"}}}});
  const int64_t id = file.running().id;
  for (const bool cached : {true, false}) {
    const auto fresh = file.open();
    Storage& tried = cached ? storage : *fresh;
    const auto refused = [&](Param param) {
      CHECK_THROWS_WITH(tried.set_params(id, {param}), Catch::Contains("cannot become"));
      Trial waiting;
      waiting.state = TrialState::kWaiting;
      waiting.params = {param};
      CHECK_THROWS_WITH(tried.create_trial(file.study.id, &waiting),
                        Catch::Contains("cannot become"));
    };
    refused({"x", 1, IntDistribution{0, 10}});
    refused({"x", 1, FloatDistribution{1, 10, true}});
    refused({"c", 0, CategoricalDistribution{{"b", "a"}}});
  }
  CHECK(storage.trial(id).params.empty());
  storage.set_params(id, {{"x", 15, FloatDistribution{5, 20}}});  // ranges may change
  storage.set_params(id, {{"x", 15, FloatDistribution{5, 20}}});  // nothing to do
  CHECK_THROWS_WITH(storage.set_params(id, {{"x", 16, FloatDistribution{5, 20}}}),
                    Catch::Contains("is 15 already"));
  CHECK_THROWS_WITH(storage.set_params(id, {uniform("y", kNaN)}), Catch::Contains("cannot be nan"));
  CHECK_THROWS_WITH(storage.set_params(id, {{"z", 2, CategoricalDistribution{{"a", "b"}}}}),
                    Catch::Contains("cannot be 2"));
  // All parameters of a call or none.
  CHECK_THROWS(storage.set_params(id, {uniform("w", 1), {"c", 0, FloatDistribution{0, 1}}}));
  CHECK(storage.trial(id).params.size() == 1);
}

TEST_CASE("Trials are recorded and enqueued whole") {
  StudyFile file;
  Storage& storage = *file.storage;
  Trial pruned;
  pruned.state = TrialState::kPruned;
  pruned.values = {-kInf};
  pruned.params = {uniform("x", 2)};
  pruned.intermediate = {{-1, kNaN}, {5, kInf}};
  pruned.user_attrs = {{"u", true}};
  pruned.system_attrs = {{"s", nullptr}};
  pruned.start = 1'700'000'000'000'001;
  pruned.complete = 1'700'000'001'999'999;
  const Trial made = storage.create_trial(file.study.id, &pruned);
  const Trial read = storage.trial(made.id);
  CHECK(read.state == TrialState::kPruned);
  CHECK(read.values == pruned.values);
  CHECK(read.start == pruned.start);
  CHECK(read.complete == pruned.complete);
  CHECK(std::isnan(read.intermediate.at(-1)));
  CHECK(read.user_attrs == pruned.user_attrs);
  CHECK(read.system_attrs == pruned.system_attrs);
  CHECK(file.sql("SELECT datetime_complete FROM trials") == "2023-11-14 22:13:21.999999");

  const auto refused = [&](TrialState state, std::vector<double> values) {
    Trial bad;
    bad.state = state;
    bad.values = std::move(values);
    CHECK_THROWS_WITH(storage.create_trial(file.study.id, &bad), Catch::Contains("cannot have"));
  };
  refused(TrialState::kComplete, {});
  refused(TrialState::kComplete, {1, 2});
  refused(TrialState::kComplete, {kNaN});
  refused(TrialState::kWaiting, {1});
  CHECK(storage.trials(file.study.id).size() == 1);
}

TEST_CASE("Waiting trials are claimed once, the oldest first") {
  StudyFile file;
  CHECK_FALSE(file.storage->claim_waiting(file.study.id));
  file.running();
  const Trial a = file.enqueue(1), b = file.enqueue(2);
  CHECK_FALSE(a.start);
  const auto other = file.open();
  CHECK(other->claim_waiting(file.study.id)->id == a.id);
  const auto claimed = file.storage->claim_waiting(file.study.id, {{"worker", "me"}});
  REQUIRE(claimed);
  CHECK(claimed->user_attrs.at("worker") == "me");
  CHECK(claimed->id == b.id);
  CHECK(claimed->state == TrialState::kRunning);
  CHECK(claimed->start);
  CHECK(claimed->params.at(0).value == 2);
  CHECK_FALSE(file.storage->claim_waiting(file.study.id));
  const Trial c = file.enqueue(3);
  CHECK(file.storage->claim_waiting(file.study.id)->id == c.id);
}

TEST_CASE("Finished trials are read once, others again") {
  StudyFile file;
  Storage& storage = *file.storage;
  const auto other = file.open();
  const Trial a = file.running(), b = file.running();
  storage.finish(a.id, TrialState::kComplete, {1});
  const auto first = storage.trials(file.study.id);
  REQUIRE(first.size() == 2);
  other->report(b.id, 1, 0.5);
  const auto second = storage.trials(file.study.id);
  CHECK(second[0] == first[0]);
  CHECK(second[1]->intermediate.at(1) == 0.5);
  other->finish(b.id, TrialState::kFail);
  const Trial c = other->create_trial(file.study.id);
  const auto third = storage.trials(file.study.id);
  REQUIRE(third.size() == 3);
  CHECK(third[1]->state == TrialState::kFail);
  CHECK(third[2]->number == 2);
  CHECK(first[1]->state == TrialState::kRunning);
  storage.finish(c.id, TrialState::kPruned);
  CHECK(storage.trials(file.study.id)[2]->state == TrialState::kPruned);

  // SQLite gives the ids of deleted rows again.
  other->delete_study(file.study.id);
  const Study again = other->create_study("s", {Direction::kMinimize});
  REQUIRE(again.id == file.study.id);
  other->create_trial(again.id);
  const auto fourth = storage.trials(again.id);
  REQUIRE(fourth.size() == 1);
  CHECK(fourth[0]->state == TrialState::kRunning);
}

TEST_CASE("Numbers count within the study") {
  StudyFile file;
  const Study other = file.storage->create_study("o", {Direction::kMaximize});
  for (int64_t i = 0; i < 5; ++i) {
    CHECK(file.running().number == i);
    CHECK(file.open()->create_trial(other.id).number == i);
  }
  CHECK_THROWS_WITH(file.storage->create_trial(99), Catch::Contains("no study with id"));
}

TEST_CASE("Trials of dead workers fail and wait again") {
  StudyFile file;
  Storage& storage = *file.storage;
  const Trial queued = file.enqueue(3);
  storage.set_trial_attrs(queued.id, {{"u", 1}});
  storage.set_trial_attrs(queued.id, {{"fixed_params", {{"x", 3.0}}}}, true);
  const int64_t silent = file.running().id;  // without a heartbeat none is stale
  RetryOptions options{.grace_seconds = 60, .max_retries = 2};
  int64_t current = storage.claim_waiting(file.study.id)->id;
  storage.report(current, 0, 1);
  for (int death = 0; death < 3; ++death) {
    INFO("death " << death);
    CHECK(storage.heartbeat(current));
    CHECK(storage.fail_stale(file.study.id, options).empty());
    file.sql("UPDATE trial_heartbeats SET heartbeat = datetime(heartbeat, '-61 seconds')");
    const auto silences = storage.silences(file.study.id);  // of what runs and has a heartbeat
    REQUIRE(silences.size() == 1);
    CHECK(silences.at(current) > 61 - 1e-3);  // a Julian day is exact to 40 microseconds
    const auto failed = file.open()->fail_stale(file.study.id, options);
    REQUIRE(failed.size() == 1);
    CHECK(failed[0].id == current);
    CHECK(failed[0].state == TrialState::kFail);
    CHECK(failed[0].complete);
    CHECK(storage.fail_stale(file.study.id, options).empty());
    const auto next = storage.claim_waiting(file.study.id);
    REQUIRE(next.has_value() == (death < 2));
    if (!next) break;
    CHECK(next->params.at(0).value == 3);
    CHECK(next->user_attrs == Attributes{{"u", 1}});
    CHECK(next->intermediate.empty());
    CHECK(next->system_attrs.at("fixed_params") == Json{{"x", 3.0}});
    CHECK(next->system_attrs.at("failed_trial") == queued.number);
    CHECK(next->system_attrs.at("retry_history").size() == static_cast<size_t>(death + 1));
    CHECK(next->system_attrs.at("retry_history").back() == storage.trial(current).number);
    current = next->id;
  }
  CHECK(storage.trial(silent).state == TrialState::kRunning);
  storage.fail_and_retry(silent, {});
  CHECK(storage.trial(silent).state == TrialState::kFail);
  const auto retried = storage.claim_waiting(file.study.id);
  REQUIRE(retried);
  CHECK(retried->system_attrs.at("retry_history") == Json{storage.trial(silent).number});
  CHECK_THROWS_WITH(storage.fail_and_retry(file.enqueue(1).id, {}), Catch::Contains("is waiting"));
}
