#include "hone/io/run_folder.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/core/log.h"
#include "support.h"

namespace hone::io {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;

void save(RunFolder& run, int64_t step) {
  AtomicFolder checkpoint = run.begin_checkpoint(step);
  std::ofstream(checkpoint.path() + "/state") << step;
  checkpoint.commit();
}

std::vector<int64_t> steps(const RunFolder& run) {
  std::vector<int64_t> steps;
  for (const CheckpointEntry& entry : run.checkpoints()) steps.push_back(entry.step);
  return steps;
}

/// Gathers warnings while it lives.
struct Warnings {
  std::string text;
  Warnings() {
    set_log_sink(
        [this](LogLevel, std::string_view message) { text += std::string(message) + "\n"; });
  }
  ~Warnings() { set_log_sink(nullptr); }
};

TEST_CASE("a folder in which nothing was trained is free again") {
  const TemporaryFolder root;
  const std::string path = root.file("run");
  {
    RunFolder::create(path, false).metrics().write({{"step", 0}, {"evaluation", Json::array()}});
  }
  {
    RunFolder run = RunFolder::create(path, false);  // only the base was scored
    run.metrics().rewind(-1);
    run.metrics().write({{"step", 0}, {"evaluation", Json::array()}});
    CHECK(read_json_lines(run.file("metrics.jsonl")).size() == 1);
  }
  std::ofstream(path + "/metrics.jsonl", std::ios::app) << "{\"step\": 1, \"lo";  // torn
  {
    RunFolder::create(path, false).metrics().write({{"step", 1}, {"loss", 2.0}});
  }
  CHECK_THROWS_WITH(RunFolder::create(path, false), Catch::Contains("holds a run"));

  const std::string scored = root.file("scored");
  {
    RunFolder run = RunFolder::create(scored, false);
    run.metrics().write({{"step", 0}, {"evaluation", Json::array()}});
    run.write_json(kReportFile, {{"path", "domain"}});
  }
  CHECK_THROWS_WITH(RunFolder::create(scored, false), Catch::Contains("holds a run"));
}

TEST_CASE("a run folder is made once and gone on with") {
  const TemporaryFolder root;
  const std::string path = root.file("runs/a");
  CHECK_THROWS_WITH(RunFolder::create(path, true), path + ": holds no run to resume");
  CHECK_FALSE(fs::exists(path));
  {
    RunFolder run = RunFolder::create(path, false);
    CHECK_FALSE(run.resumed());
    run.write_json("config.json", {{"seed", 3}});
    CHECK(read_json_file(run.file("config.json")) == Json({{"seed", 3}}));
  }
  // Nothing was measured yet: the same command may be given again.
  {
    RunFolder::create(path, false).metrics().write({{"step", 1}, {"loss", 2.0}});
  }
  CHECK_THROWS_WITH(RunFolder::create(path, false), Catch::Contains("holds a run; go on with it"));
  RunFolder run = RunFolder::create(path, true);
  CHECK(run.resumed());
  CHECK(read_json_lines(run.file("metrics.jsonl")).size() == 1);

  root.write("foreign", "");
  CHECK_THROWS_WITH(RunFolder::create(root.path, false), Catch::Contains("no run of hone"));
  CHECK_THROWS_WITH(RunFolder::create(root.file("foreign"), false),
                    Catch::Contains("cannot create"));
}

TEST_CASE("a second process is refused with the holder's name; a dead holder's lock is free") {
  const TemporaryFolder root;
  const std::string path = root.file("run");
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  if (child == 0) {
    RunFolder run = RunFolder::create(path, false);
    run.metrics().write({{"step", 1}, {"loss", 1.0}});
    AtomicFolder checkpoint = run.begin_checkpoint(1);
    if (write(ready[1], "x", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char byte;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  CHECK_THROWS_WITH(RunFolder::create(path, true),
                    Catch::Contains("is in use by process " + std::to_string(child) + " on "));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  RunFolder run = RunFolder::create(path, true);
  CHECK(fs::is_empty(run.file("checkpoints")));  // what the dead one had begun is gone
}

TEST_CASE("the newest complete checkpoint is found, broken ones are passed over") {
  const TemporaryFolder root;
  RunFolder run = RunFolder::create(root.file("run"), false);
  CHECK(run.newest() == std::nullopt);
  for (int64_t step : {0, 5, 10, 20, 100}) save(run, step);
  fs::create_directory(run.file("checkpoints/checkpoint-7x"));
  CHECK(steps(run) == std::vector<int64_t>{0, 5, 10, 20, 100});
  CHECK(run.newest()->step == 100);

  std::ofstream(run.file("checkpoints/checkpoint-100/state")) << "1o0";
  fs::remove(run.file("checkpoints/checkpoint-20/manifest.json"));
  const Warnings warnings;
  const auto newest = run.newest();
  REQUIRE(newest);
  CHECK(newest->step == 10);
  CHECK(read_file(newest->path + "/state") == "10");
  CHECK_THAT(warnings.text,
             Catch::Contains("checkpoint-100/state: has changed since it was saved"));
  CHECK_THAT(warnings.text, Catch::Contains("checkpoint-20/manifest.json: cannot open"));

  save(run, 15);
  run.rotate(1);  // the broken 20 and 100 must not push out the good 15
  CHECK(steps(run) == std::vector<int64_t>{15});
  CHECK(fs::exists(run.file("checkpoints/broken-checkpoint-100")));
}

TEST_CASE("rotation keeps the newest; one of the same step is replaced") {
  const TemporaryFolder root;
  RunFolder run = RunFolder::create(root.file("run"), false);
  for (int64_t step : {1, 2, 9, 10, 11}) save(run, step);
  run.rotate(2);
  CHECK(steps(run) == std::vector<int64_t>{10, 11});
  run.rotate(5);
  CHECK(steps(run) == std::vector<int64_t>{10, 11});
  CHECK_THROWS_WITH(run.rotate(0), Catch::Contains("keep must be at least 1, got 0"));
  save(run, 11);
  CHECK(run.newest()->step == 11);
}

}  // namespace
}  // namespace hone::io
