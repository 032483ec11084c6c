#include "hone/run/disk.h"

#include "hone/core/error.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

using namespace hone;
using namespace hone::run;

namespace {

constexpr run::DiskSizes kSizes{.weights = 100, .states = 200, .snapshots = 50, .model = 100};

run::Config recipe(int64_t save_every) {
  run::Config config;
  config.train.steps = 100;
  config.train.save_every = save_every;
  config.train.keep_checkpoints = 2;
  return config;
}

}  // namespace

TEST_CASE("A run needs room for its kept checkpoints, one in the making, and the model") {
  CHECK(run::disk_need(recipe(10), kSizes).checkpoints == 3);
  CHECK(run::disk_need(recipe(10), kSizes).bytes == 3 * 350 + 100);
  CHECK(run::disk_need(recipe(10), kSizes).text == "3 checkpoints of 0 MiB and the model of 0 MiB");
  CHECK(run::disk_need(recipe(10), kSizes, 2).bytes == 350 + 100);  // gone on with
  CHECK(run::disk_need(recipe(10), kSizes, 9).bytes == 100);
  CHECK(run::disk_need(recipe(0), kSizes).bytes == 100);
  CHECK(run::disk_need(recipe(0), kSizes).text == "the model of 0 MiB");
  CHECK(run::disk_need(recipe(1000), kSizes).checkpoints == 2);  // fewer will ever be written
}

TEST_CASE("A guard that goes back keeps one more checkpoint, and its own without save_every") {
  run::Config config = recipe(10);
  config.train.eval_every = 20;
  config.guard.domain = "general";
  CHECK(run::disk_need(config, kSizes).checkpoints == 4);
  config.train.save_every = 0;
  CHECK(run::disk_need(config, kSizes).checkpoints == 4);
  config.guard.action = run::GuardAction::kRebalance;
  CHECK(run::disk_need(config, kSizes).checkpoints == 0);
}

TEST_CASE("What is written follows from what trains") {
  const model::MemoryPlan full{.weights = 400, .optimizer_states = 800};
  run::Config config = recipe(10);
  const run::DiskSizes all = run::disk_sizes(config, full, at::kFloat, 1);
  CHECK(all.weights == 400);
  CHECK(all.states == 800);
  CHECK(all.snapshots == 1200);
  CHECK(all.model == 400);
  const model::MemoryPlan shared{.weights = 400, .optimizer_states = 800, .copies = 30};
  CHECK(run::disk_sizes(config, shared, at::kFloat, 0).weights == 430);
  CHECK(run::disk_sizes(config, shared, at::kFloat, 0).model == 430);
  const model::MemoryPlan half{.weights = 200, .optimizer_states = 1200};
  CHECK(run::disk_sizes(config, half, at::kBFloat16, 2).snapshots == 2 * (200 + 1200));
  config.tuning = run::Tuning::kLora;
  const model::MemoryPlan part{.weights = 440, .optimizer_states = 80};
  const run::DiskSizes adapter = run::disk_sizes(config, part, at::kFloat, 0);
  CHECK(adapter.weights == 40);
  CHECK(adapter.model == 40 + 400);
  config.vocabulary.new_tokens = 5;  // then its base is written too
  CHECK(run::disk_sizes(config, part, at::kFloat, 0).model == 840);
}

TEST_CASE("Scoring writes no model") {
  run::Config config = recipe(0);
  config.train.steps = 0;
  CHECK(run::disk_need(config, kSizes).bytes == 0);
}

TEST_CASE("A disk that is too small is an error that names the bytes") {
  const TemporaryFolder folder;
  const int64_t free = run::free_disk_bytes(folder.path + "/not/there/yet");
  CHECK(free > 0);
  CHECK_NOTHROW(run::check_disk(folder.path, {.bytes = 1}));
  CHECK_THROWS_WITH(
      run::check_disk(folder.path, {.bytes = int64_t{1} << 60, .text = "3 checkpoints of much"}),
      Catch::Contains("needs 1152921504606846976 bytes") &&
          Catch::Contains("for 3 checkpoints of much; the disk has ") &&
          Catch::Contains(" bytes (") && Catch::Contains("train.keep_checkpoints"));
}
