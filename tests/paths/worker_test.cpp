#include "hone/paths/static/worker.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "hone/core/error.h"
#include "hone/core/process.h"
#include "hone/machine/stop_signal.h"
#include "hone/run/data.h"
#include "hone/tune/search.h"
#include "search_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::paths;
using tune::TrialState;

namespace {

/// A study with waiting trials of a search.
struct Waiting : test::SearchFolder {
  StaticConfig config;
  std::string url = "sqlite:///" + file("study.db");
  std::unique_ptr<tune::Storage> storage = tune::open_storage(url);
  int64_t study;

  explicit Waiting(int64_t trials, const Json& changes = Json::object())
      : config(search(changes)),
        study(storage->create_study(config.study.name, directions(config)).id) {
    storage->enqueue(study, trials, tune::kRefused);
  }

  int work(double deadline = 0) {
    run::Cache cache;
    return run_worker(
        config, {.storage = url, .trials = file("trials"), .threads = 1, .deadline = deadline},
        cache);
  }
  std::vector<TrialState> states() {
    std::vector<TrialState> list;
    for (const auto& trial : storage->trials(study)) list.push_back(trial->state);
    return list;
  }
};

}  // namespace

TEST_CASE("A worker signs with its machine and process, and takes its share of the cores") {
  CHECK_THAT(worker_name(123), Catch::EndsWith(":123"));
  CHECK(worker_name(123).size() > 4);
  StaticConfig config;
  config.base.threads = 3;
  config.budget.workers = 2;
  CHECK(worker_threads(config) == 3);
  config.base.threads = 0;
  config.budget.workers = 100000;
  CHECK(worker_threads(config) == 1);
  const double clock =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  CHECK(std::abs(now() - clock) < 5);
}

TEST_CASE("A worker runs trials until none waits, each in a folder of its own") {
  Waiting waiting(2, {{"pruner", {{"kind", "none"}}}});
  CHECK(waiting.work() == 0);
  const auto trials = waiting.storage->trials(waiting.study);
  REQUIRE(trials.size() == 2);
  for (const auto& trial : trials) {
    CHECK(enum_name(trial->state) == "complete");
    CHECK(trial->values.at(0) > 1);
    CHECK(trial->intermediate.contains(2));
    CHECK(trial->user_attrs.at(tune::kWorker) == worker_name(::getpid()));
    CHECK(trial->user_attrs.at(tune::kProcess) == process_identity());
  }
  CHECK(trials[0]->values != trials[1]->values);
  CHECK(std::filesystem::exists(waiting.file("trials/00000/report.json")));
  CHECK(std::filesystem::exists(waiting.file("trials/00001/report.json")));
}

TEST_CASE("After the deadline no trial begins") {
  Waiting waiting(1);
  CHECK(waiting.work(now() - 1) == 0);
  CHECK((waiting.states() == std::vector{TrialState::kWaiting}));
}

TEST_CASE("A signal ends a worker before its next trial") {
  Waiting waiting(1);
  const machine::StopSignal stop;
  ::raise(SIGTERM);
  CHECK(waiting.work() == 128 + SIGTERM);
  CHECK((waiting.states() == std::vector{TrialState::kWaiting}));
}

TEST_CASE("A trial that fails has its reason, and three in a row end the worker") {
  Waiting waiting(
      4,
      {{"objectives",
        {{{"metric", "command"}, {"command", "echo broken; exit 3"}, {"direction", "minimize"}}}}});
  CHECK_THROWS_WITH(waiting.work(), Catch::StartsWith("3 trials in a row failed; the last: ") &&
                                        Catch::Contains("exit code 3"));
  const auto trials = waiting.storage->trials(waiting.study);
  int64_t failed = 0;
  for (const auto& trial : trials) {
    if (trial->state != TrialState::kFail) continue;
    ++failed;
    CHECK_THAT(trial->user_attrs.at(tune::kError).get<std::string>(),
               Catch::Contains("exit code 3"));
  }
  CHECK(failed == 3);
}

TEST_CASE("What every trial shares is read into the cache once") {
  const test::SearchFolder folder;
  const StaticConfig config = folder.search();
  run::Cache cache;
  warm_cache(config, cache);
  std::filesystem::remove(folder.train);
  std::filesystem::remove(folder.held);
  const run::RunTokenizer tokenizer = cache.tokenizer(config.base);
  CHECK(tokenizer.text.tokenizer.vocab_size() <= 300);
  CHECK_NOTHROW(run::load_data(config.base, tokenizer, cache));
}
