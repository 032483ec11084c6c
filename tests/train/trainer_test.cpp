#include "hone/train/trainer.h"

#include <signal.h>
#include <torch/nn/functional/loss.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <filesystem>
#include <limits>

#include "hone/io/atomic.h"
#include "hone/io/safetensors.h"
#include "hone/io/tensors.h"
#include "hone/train/resume.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::train;
namespace fs = std::filesystem;

namespace {

/// Logistic regression over 4 tokens: enough of a model for the loop, which knows none.
struct Toy {
  at::Tensor weight = torch::full({4, 4}, 0.1, torch::requires_grad());
  int64_t drawn = 0;
  int64_t poison_from = std::numeric_limits<int64_t>::max();  // batches from here on give NaN
  int64_t poison_to = std::numeric_limits<int64_t>::max();
  std::function<void()> on_batch = [] {};

  kernels::FusedAdamW optimizer() { return {{{"weight", weight}}, {.weight_decay = 0.1}}; }

  Task task() {
    Task task;
    task.next_batch = [this] {
      on_batch();
      data::Batch batch;
      const int64_t a = drawn % 4, b = (drawn * 3 + 1) % 4;
      batch.append({{a, b, a}, {b, a, data::kIgnoreIndex}, {1, 1, 1}});
      ++drawn;
      return batch;
    };
    task.nll = [this](const data::Batch& batch) { return nll(batch); };
    task.loss = [this](const data::Batch& batch) {
      const at::Tensor dropped = torch::dropout(nll(batch), 0.25, true);  // draws random numbers
      at::Tensor sum = dropped.sum();
      if (drawn > poison_from && drawn <= poison_to) sum = sum * std::nan("");
      return loss::LossSum{sum, torch::tensor(2.0)};
    };
    data::Batch held_out;
    held_out.append({{0, 1, 2}, {1, 2, data::kIgnoreIndex}, {1, 1, 1}});
    task.evaluation = {{"held", "general", {held_out}}};
    task.save = [this](const std::string& folder) {
      io::write_safetensors(folder + "/w.safetensors", {{"weight", weight}});
      return Json{{"drawn", drawn}};
    };
    task.load = [this](const std::string& folder, const Json& state) {
      const torch::NoGradGuard no_grad;
      weight.copy_(io::read_tensor(io::Safetensors(folder + "/w.safetensors"), "weight"));
      drawn = state.at("drawn");
    };
    return task;
  }

  at::Tensor nll(const data::Batch& batch) const {
    const auto ids = torch::tensor(batch.input_ids, torch::kLong);
    return torch::nn::functional::cross_entropy(
        weight.index_select(0, ids), torch::tensor(batch.targets, torch::kLong),
        torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kNone));
  }
};

std::string fresh_folder() {
  static int counter = 0;
  const auto path = fs::temp_directory_path() / ("hone_trainer_" + std::to_string(::getpid()) +
                                                 "_" + std::to_string(counter++));
  fs::remove_all(path);
  return path.string();
}

/// The rows of metrics.jsonl without the one field that depends on the clock.
std::vector<Json> metrics(const std::string& folder) {
  std::vector<Json> rows = io::read_json_lines(folder + "/metrics.jsonl");
  for (Json& row : rows) row.erase("tokens_per_second");
  return rows;
}

Outcome train_toy(Toy& toy, const TrainOptions& options, const std::string& path, bool resume,
                  std::vector<Evaluation>* evaluations = nullptr) {
  io::RunFolder folder = io::RunFolder::create(path, resume);
  auto optimizer = toy.optimizer();
  std::vector<Evaluation> own;
  return run(options, optimizer, toy.task(), folder, {"main"}, evaluations ? *evaluations : own);
}

}  // namespace

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
    run({.steps = 5, .accumulation = accumulation, .lr = 0.1}, optimizer, task, folder, {"main"},
        evaluations);
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

TEST_CASE("An evaluation can end the run, and the model goes back to the last that passed") {
  const std::string path = fresh_folder();
  Toy toy;
  io::RunFolder folder = io::RunFolder::create(path, false);
  auto optimizer = toy.optimizer();
  Task task = toy.task();
  task.save_evaluated = true;
  at::Tensor passed;
  task.after_evaluation = [&](const Evaluation& evaluation) {
    if (evaluation.step < 6) passed = toy.weight.detach().clone();
    return evaluation.step < 6;
  };
  std::vector<Evaluation> evaluations;
  const Outcome outcome = run({.steps = 10, .lr = 0.1, .eval_every = 2}, optimizer, task, folder,
                              {"main"}, evaluations);
  CHECK(outcome.ending == Ending::kStopped);
  CHECK(outcome.steps == 6);
  CHECK_FALSE(torch::equal(toy.weight, passed));
  CHECK(return_to_checkpoint(folder, task) == 4);
  CHECK(torch::equal(toy.weight, passed));
}

TEST_CASE("The time of a run holds that of the phases before it") {
  Toy toy;
  io::RunFolder folder = io::RunFolder::create(fresh_folder(), false);
  auto optimizer = toy.optimizer();
  std::vector<Evaluation> evaluations;
  const Phase phase{.name = "main", .seconds = 3600};
  CHECK(run({.steps = 2}, optimizer, toy.task(), folder, phase, evaluations).seconds > 3600);
}

TEST_CASE("A checkpoint resumes only a phase of its name") {
  const std::string path = fresh_folder();
  Toy toy;
  train_toy(toy, {.steps = 3, .save_every = 2}, path, false);
  io::RunFolder folder = io::RunFolder::create(path, true);
  auto optimizer = toy.optimizer();
  CHECK(checkpoint_phase(folder) == "main");
  Adaptation none({}, optimizer, nullptr);
  CHECK_FALSE(resume_checkpoint(folder, {"embeddings"}, optimizer, none, toy.task()));
  CHECK(resume_checkpoint(folder, {"main"}, optimizer, none, toy.task())->position.step == 2);
}
