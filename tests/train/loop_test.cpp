#include "hone/train/loop.h"

#include <signal.h>
#include <torch/types.h>

#include "hone/train/resume.h"
#include "support/catch.h"
#include "toy.h"

using namespace hone;
using namespace hone::train;

TEST_CASE("Accumulating n batches equals one batch of all their tokens") {
  // Without dropout: one division by the step's total weight, whatever the split.
  at::Tensor weights[2];
  for (const int64_t accumulation : {1, 3}) {
    Toy toy;
    Task task = toy.task();
    const auto next = task.next_batch;
    task.next_batch = [&, accumulation] {
      if (accumulation == 3) return next();
      data::Batch all;
      for (int i = 0; i < 3; ++i) {
        const data::Batch one = next();
        all.append({one.input_ids, one.targets, one.weights});
      }
      return all;
    };
    task.loss = [&](const data::Batch& batch) {
      const int64_t weight = batch.trained();
      return loss::LossSum{toy.nll(batch).sum(), torch::tensor(static_cast<double>(weight))};
    };
    const std::string path = fresh_folder();
    io::RunFolder folder = io::RunFolder::create(path, false);
    auto optimizer = toy.optimizer();
    std::vector<Evaluation> evaluations;
    run_loop({.steps = 5, .accumulation = accumulation, .lr = 0.1}, optimizer, task, folder,
             {"main"}, evaluations);
    weights[accumulation / 3] = toy.weight.detach().clone();
    CHECK(evaluations.size() == 2);
  }
  CHECK(torch::allclose(weights[0], weights[1], 1e-6, 1e-7));
  CHECK_FALSE(torch::allclose(weights[0], torch::full({4, 4}, 0.1)));
}

TEST_CASE("A run resumed from any checkpoint equals the uninterrupted one bit for bit") {
  const TrainOptions options{
      .steps = 12, .accumulation = 2, .lr = 0.05, .log_every = 4, .eval_every = 3, .save_every = 2};
  torch::manual_seed(7);
  Toy whole;
  const std::string reference = fresh_folder();
  std::vector<Evaluation> evaluations;
  const Outcome full = train_toy(whole, options, reference, false, &evaluations);

  for (const int64_t stop_at : {1, 5, 6, 11}) {
    const std::string path = fresh_folder();
    torch::manual_seed(7);
    Toy first;
    first.on_batch = [&] {
      if (first.drawn == 2 * stop_at - 1) ::raise(SIGTERM);
    };
    const Outcome stopped = train_toy(first, options, path, false);
    REQUIRE(stopped.ending == Ending::kSignal);
    CHECK(stopped.signal == SIGTERM);
    CHECK(stopped.steps == stop_at);

    torch::manual_seed(99);  // the checkpoint's generator state must win
    Toy second;
    std::vector<Evaluation> resumed_evaluations;
    const Outcome resumed = train_toy(second, options, path, true, &resumed_evaluations);
    CHECK(resumed.ending == Ending::kDone);
    CHECK(resumed.steps == 12);
    CHECK(resumed.seconds > stopped.seconds);  // of the whole run, not of its last process
    CHECK(resumed.tokens == full.tokens);
    CHECK(resumed.loss == full.loss);
    CHECK(torch::equal(second.weight, whole.weight));
    CHECK(metrics(path) == metrics(reference));
    REQUIRE(resumed_evaluations.size() == evaluations.size());
    CHECK(resumed_evaluations.back().scores[0].nll == evaluations.back().scores[0].nll);
  }
}

TEST_CASE("Non-finite steps change nothing, and too many in a row end the run") {
  const std::string path = fresh_folder();
  Toy toy;
  toy.poison_from = 2;
  toy.poison_to = 4;
  const Outcome some = train_toy(toy, {.steps = 6, .lr = 0.1, .max_nonfinite = 2}, path, false);
  CHECK(some.ending == Ending::kDone);
  CHECK(some.skipped == 2);
  CHECK(toy.weight.isfinite().all().item<bool>());

  Toy bad;
  bad.poison_from = 0;
  const std::string other = fresh_folder();
  const Outcome diverged =
      train_toy(bad, {.steps = 10, .lr = 0.1, .save_every = 1, .max_nonfinite = 3}, other, false);
  CHECK(diverged.ending == Ending::kDiverged);
  CHECK(diverged.skipped == 4);
  CHECK(torch::equal(bad.weight, torch::full({4, 4}, 0.1)));
}

TEST_CASE("Who asks for it is told the number of each step before it is made") {
  Toy toy;
  Task task = toy.task();
  std::vector<int64_t> told;
  task.before_step = [&](int64_t step) {
    CHECK(toy.drawn == std::ssize(told));
    told.push_back(step);
  };
  io::RunFolder folder = io::RunFolder::create(fresh_folder(), false);
  auto optimizer = toy.optimizer();
  std::vector<Evaluation> evaluations;
  run_loop({.steps = 3}, optimizer, task, folder, {"main", 10}, evaluations);
  CHECK(told == std::vector<int64_t>{1, 2, 3});  // of the phase
}

TEST_CASE("The time of a run holds that of the phases before it") {
  Toy toy;
  io::RunFolder folder = io::RunFolder::create(fresh_folder(), false);
  auto optimizer = toy.optimizer();
  std::vector<Evaluation> evaluations;
  const Phase phase{.name = "main", .seconds = 3600};
  CHECK(run_loop({.steps = 2}, optimizer, toy.task(), folder, phase, evaluations).seconds > 3600);
}

TEST_CASE("A checkpoint resumes only a phase of its name") {
  const std::string path = fresh_folder();
  Toy toy;
  train_toy(toy, {.steps = 3, .save_every = 2}, path, false);
  io::RunFolder folder = io::RunFolder::create(path, true);
  auto optimizer = toy.optimizer();
  CHECK(checkpoint_phase(folder) == "main");
  LoopControl none({}, optimizer, nullptr);
  CHECK_FALSE(resume_checkpoint(folder, {"embeddings"}, optimizer, none, toy.task()));
  CHECK(resume_checkpoint(folder, {"main"}, optimizer, none, toy.task())->position.step == 3);
}
