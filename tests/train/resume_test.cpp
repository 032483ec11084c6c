#include "hone/train/resume.h"

#include <torch/types.h>

#include <cmath>
#include <fstream>
#include <stdexcept>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "support/catch.h"
#include "toy.h"

using namespace hone;
using namespace hone::train;
namespace fs = std::filesystem;

namespace {

/// A checkpoint at `step` of the run, of a toy in the phase.
void save_at(io::RunFolder& folder, Toy& toy, const Phase& phase, const Position& position,
             const std::vector<Evaluation>& evaluations = {}) {
  auto optimizer = toy.optimizer();
  const LoopControl none({}, optimizer, nullptr);
  save_checkpoint(folder, phase, position, evaluations, optimizer, none, toy.task());
}

std::optional<Resumed> resume(io::RunFolder& folder, Toy& toy, const Phase& phase) {
  auto optimizer = toy.optimizer();
  LoopControl none({}, optimizer, nullptr);
  return resume_checkpoint(folder, phase, optimizer, none, toy.task());
}

/// Puts an edited copy in place of the folder's only checkpoint.
void edit(io::RunFolder& folder, const std::function<void(Json& state)>& change_state,
          const std::function<void(const std::string& path)>& change_files = {}) {
  const io::CheckpointEntry entry = folder.checkpoints().at(0);
  io::AtomicFolder copy = folder.begin_checkpoint(entry.step);
  for (const char* name : {"optimizer.safetensors", "w.safetensors"}) {
    fs::copy(entry.path + "/" + name, copy.path() + "/" + name);
  }
  Json state = read_json_file(entry.path + "/state.json");
  change_state(state);
  std::ofstream(copy.path() + "/state.json") << state.dump();
  if (change_files) change_files(copy.path());
  copy.commit();
}

}  // namespace

TEST_CASE("A checkpoint gives back every number of the position and every evaluation") {
  io::RunFolder folder = io::RunFolder::create(fresh_folder(), false);
  Toy toy;
  const Position saved{.step = 4,
                       .tokens = 120,
                       .skipped = 3,
                       .skipped_in_row = 2,
                       .losses = {1.5, 0.1},
                       .seconds = 7.25,
                       .timed_tokens = 60,
                       .timed_seconds = 3.5,
                       .measured = true,
                       .passed_at = 12,
                       .ended = Ending::kStopped};
  save_at(folder, toy, {"main", 10}, saved,
          {{10, {{"held", "law", 3, 4, 0.75}}}, {14, {{"held", "law", 3, 4, std::nan("")}}}});
  CHECK(folder.checkpoints().at(0).step == 14);  // of the run

  const auto resumed = resume(folder, toy, {"main", 10});
  REQUIRE(resumed);
  const Position& position = resumed->position;
  CHECK(position.step == 4);
  CHECK(position.tokens == 120);
  CHECK(position.skipped == 3);
  CHECK(position.skipped_in_row == 2);
  CHECK(position.losses == std::deque<double>{1.5, 0.1});
  CHECK(position.seconds == 7.25);
  CHECK(position.timed_tokens == 60);
  CHECK(position.timed_seconds == 3.5);
  CHECK(position.measured);
  CHECK(position.passed_at == 12);
  CHECK(position.ended == Ending::kStopped);
  REQUIRE(resumed->evaluations.size() == 2);
  CHECK(resumed->evaluations[0].step == 10);
  CHECK(resumed->evaluations[0].scores.at(0).nll == 0.75);
  CHECK(resumed->evaluations[0].scores.at(0).base_tokens == 4);
  CHECK(std::isnan(resumed->evaluations[1].scores.at(0).nll));
}

TEST_CASE("What a position does not have stays without") {
  io::RunFolder folder = io::RunFolder::create(fresh_folder(), false);
  Toy toy;
  save_at(folder, toy, {"main"}, {.step = 2});
  const auto resumed = resume(folder, toy, {"main"});
  CHECK_FALSE(resumed->position.measured);
  CHECK_FALSE(resumed->position.passed_at);
  CHECK_FALSE(resumed->position.ended);
}

TEST_CASE("Weights, optimiser and generator are those of the checkpoint") {
  io::RunFolder folder = io::RunFolder::create(fresh_folder(), false);
  Toy toy;
  torch::manual_seed(5);
  save_at(folder, toy, {"main"}, {.step = 1});
  const at::Tensor drawn = torch::rand({4});
  {
    const torch::NoGradGuard no_grad;
    toy.weight.fill_(9);
  }
  toy.drawn = 77;
  torch::manual_seed(6);
  resume(folder, toy, {"main"});
  CHECK(torch::equal(toy.weight, torch::full({4, 4}, 0.1)));
  CHECK(toy.drawn == 0);
  CHECK(torch::equal(torch::rand({4}), drawn));
}

TEST_CASE("Neither without a checkpoint nor from one of another phase is anything changed") {
  io::RunFolder folder = io::RunFolder::create(fresh_folder(), false);
  Toy toy;
  CHECK_FALSE(resume(folder, toy, {"main"}));
  CHECK_FALSE(checkpoint_phase(folder));
  save_at(folder, toy, {"embeddings"}, {.step = 1});
  CHECK(checkpoint_phase(folder) == "embeddings");
  toy.drawn = 5;
  CHECK_FALSE(resume(folder, toy, {"main"}));
  CHECK(toy.drawn == 5);
}

TEST_CASE("An older checkpoint was measured where its last evaluation is of its step") {
  for (const int64_t evaluated : {10, 14}) {
    io::RunFolder folder = io::RunFolder::create(fresh_folder(), false);
    Toy toy;
    save_at(folder, toy, {"main", 0}, {.step = 14}, {{evaluated, {}}});
    edit(folder, [](Json& state) {
      for (const char* key :
           {"seconds", "timed_tokens", "timed_seconds", "measured", "passed_at", "ended"}) {
        state.at("position").erase(key);
      }
    });
    const auto resumed = resume(folder, toy, {"main", 0});
    CHECK(resumed->position.measured == (evaluated == 14));
    CHECK(resumed->position.passed_at == evaluated);
    CHECK(resumed->position.seconds == 0);
    CHECK(resumed->position.timed_tokens == 0);
    CHECK_FALSE(resumed->position.ended);
  }
}

TEST_CASE("A checkpoint without a generator that the run has is refused") {
  io::RunFolder folder = io::RunFolder::create(fresh_folder(), false);
  Toy toy;
  save_at(folder, toy, {"main"}, {.step = 3});
  edit(
      folder, [](Json&) {},
      [&](const std::string& path) {
        const auto state = toy.optimizer().state();
        io::write_safetensors(path + "/optimizer.safetensors", {state.begin(), state.end()});
      });
  CHECK_THROWS_WITH(resume(folder, toy, {"main"}),
                    Catch::Contains("optimizer.safetensors: holds no state of the generator of "
                                    "device cpu: the run was started on another device"));
}

TEST_CASE("Rows of metrics beyond the checkpoint are dropped when a run goes on from it") {
  // Neither a signal nor an end: the process dies between two checkpoints, as from a full disk.
  const TrainOptions options{.steps = 7, .lr = 0.05, .save_every = 2};
  const std::string reference = fresh_folder(), path = fresh_folder();
  torch::manual_seed(7);
  Toy whole;
  train_toy(whole, options, reference, false);

  torch::manual_seed(7);
  Toy first;
  first.on_batch = [&] {
    if (first.drawn == 5) throw std::runtime_error("the disk is full");
  };
  CHECK_THROWS_WITH(train_toy(first, options, path, false), "the disk is full");
  CHECK(metrics(path).back().at("step") == 5);
  Toy second;
  CHECK(train_toy(second, options, path, true).ending == Ending::kDone);
  CHECK(second.drawn == 7);
  CHECK(metrics(path) == metrics(reference));
}

TEST_CASE("A run that is lengthened goes on from its end, one that a guard stopped does not") {
  const std::string path = fresh_folder();
  Toy toy;
  train_toy(toy, {.steps = 3, .lr = 0.05, .save_every = 2}, path, false);
  Toy longer;
  const Outcome outcome = train_toy(longer, {.steps = 5, .lr = 0.05, .save_every = 2}, path, true);
  CHECK(outcome.steps == 5);
  CHECK(longer.drawn == 5);

  io::RunFolder stopped = io::RunFolder::create(fresh_folder(), false);
  save_at(stopped, toy, {"main"}, {.step = 3, .ended = Ending::kStopped});
  auto optimizer = toy.optimizer();
  std::vector<Evaluation> evaluations;
  const Outcome again =
      run_loop({.steps = 5}, optimizer, toy.task(), stopped, {"main"}, evaluations);
  CHECK(again.ending == Ending::kStopped);
  CHECK(again.steps == 3);
}

TEST_CASE("The newest checkpoint of an evaluation that passed is the one gone back to") {
  io::RunFolder folder = io::RunFolder::create(fresh_folder(), false);
  Toy toy;
  toy.drawn = 1;
  save_at(folder, toy, {"main"}, {.step = 1, .passed_at = 1});
  toy.drawn = 2;
  save_at(folder, toy, {"main"}, {.step = 2, .passed_at = 2});
  toy.drawn = 3;
  save_at(folder, toy, {"main"}, {.step = 3, .passed_at = 2});  // of a step without an evaluation
  CHECK(return_to_passed(folder, toy.task()) == 2);
  CHECK(toy.drawn == 2);
}
