// How runs of the loop end, and what is left of them.
#include <signal.h>
#include <torch/types.h>

#include <fstream>

#include "hone/core/file.h"
#include "hone/machine/stop_signal.h"
#include "hone/train/controllers/early_stopping.h"
#include "hone/train/loop.h"
#include "hone/train/resume.h"
#include "support/catch.h"
#include "toy.h"

using namespace hone;
using namespace hone::train;
namespace fs = std::filesystem;

namespace {

/// A toy guarded as by a path: evaluations before step `fails_at` pass.
struct Guarded {
  Toy toy;
  int64_t fails_at;
  at::Tensor passed;  // weights of the last evaluation that passed
  std::vector<Evaluation> evaluations;

  explicit Guarded(int64_t step) : fails_at(step) {}

  Task task() {
    Task task = toy.task();
    task.save_evaluated = true;
    task.after_evaluation = [this](const Evaluation& evaluation, bool) {
      if (evaluation.step >= fails_at) return false;
      passed = toy.weight.detach().clone();
      return true;
    };
    return task;
  }

  Outcome run(const TrainOptions& options, io::RunFolder& folder) {
    auto optimizer = toy.optimizer();
    return train::run_loop(options, optimizer, task(), folder, {"main"}, evaluations);
  }
};

std::vector<int64_t> steps(const io::RunFolder& folder) {
  std::vector<int64_t> list;
  for (const io::CheckpointEntry& entry : folder.checkpoints()) list.push_back(entry.step);
  return list;
}

/// Makes a checkpoint what an older version wrote: without the keys that came later.
void make_old(io::RunFolder& folder, int64_t step) {
  const std::string from = folder.file("checkpoints/checkpoint-" + std::to_string(step));
  io::AtomicFolder to = folder.begin_checkpoint(step);
  for (const char* name : {"optimizer.safetensors", "w.safetensors"}) {
    fs::copy(from + "/" + name, to.path() + "/" + name);
  }
  Json state = read_json_file(from + "/state.json");
  for (const char* key : {"seconds", "timed_tokens", "measured", "passed_at", "ended"}) {
    state.at("position").erase(key);
  }
  std::ofstream(to.path() + "/state.json") << state.dump();
  to.commit();
}

/// Evaluates the toy to values of a script, one for each weights that it has not seen before.
struct Scripted {
  Toy toy;
  std::vector<double> values;
  std::vector<std::pair<at::Tensor, double>> seen;

  TokenNll nll() {
    return [this](const data::Batch& batch) {
      for (const auto& [weight, value] : seen) {
        if (torch::equal(weight, toy.weight)) return torch::full({batch.tokens()}, value);
      }
      seen.emplace_back(toy.weight.detach().clone(), values.at(seen.size()));
      return torch::full({batch.tokens()}, seen.back().second);
    };
  }
};

double value_of(const Evaluation& evaluation) {
  return evaluation.scores.at(0).nll / 3;  // of the toy's three positions, of which two count
}

}  // namespace

TEST_CASE("A guard goes back to the last evaluation that passed, whatever was saved since") {
  const TrainOptions options{.steps = 60, .lr = 0.1, .eval_every = 10, .save_every = 4};
  const std::string path = fresh_folder();
  Guarded first(30);
  {
    io::RunFolder folder = io::RunFolder::create(path, false);
    const Outcome outcome = first.run(options, folder);
    CHECK(outcome.ending == Ending::kStopped);
    CHECK(outcome.steps == 30);
    CHECK(steps(folder) == std::vector<int64_t>{20, 28, 30});  // the passing one and the newest two
    CHECK_FALSE(torch::equal(first.toy.weight, first.passed));
    CHECK(return_to_passed(folder, first.task()) == 20);
    CHECK(torch::equal(first.toy.weight, first.passed));
  }
  // Whoever resumes it, before or after the last checkpoint, ends there too.
  for (const int64_t lost : {0, 30}) {
    if (lost != 0) fs::remove_all(path + "/checkpoints/checkpoint-" + std::to_string(lost));
    io::RunFolder folder = io::RunFolder::create(path, true);
    Guarded again(30);
    const Outcome resumed = again.run(options, folder);
    CHECK(resumed.ending == Ending::kStopped);
    CHECK(resumed.steps == 30);
    CHECK(again.toy.drawn == 30);
    CHECK(again.evaluations.back().step == 30);
    CHECK(again.evaluations.size() == first.evaluations.size());
    CHECK(return_to_passed(folder, again.task()) == 20);
    CHECK(torch::equal(again.toy.weight, first.passed));
  }
}

TEST_CASE(
    "An evaluation that fails stops the run also at its end and where a signal cut it short") {
  const auto run = [](Guarded& guarded, const std::string& path, bool resume) {
    io::RunFolder folder = io::RunFolder::create(path, resume);
    return guarded.run({.steps = 6, .lr = 0.1, .eval_every = 3}, folder);
  };
  Guarded last(6);
  CHECK(run(last, fresh_folder(), false).ending == Ending::kStopped);

  const std::string path = fresh_folder();
  Guarded first(3), again(3);
  first.toy.on_batch = [&] {
    if (first.toy.drawn == 2) ::raise(SIGTERM);
  };
  REQUIRE(run(first, path, false).ending == Ending::kSignal);
  const Outcome resumed = run(again, path, true);
  CHECK(resumed.ending == Ending::kStopped);
  CHECK(resumed.steps == 3);
}

TEST_CASE("Checkpoints of older versions are gone back to if an evaluation came with them") {
  const std::string path = fresh_folder();
  Guarded guarded(30);
  io::RunFolder folder = io::RunFolder::create(path, false);
  guarded.run({.steps = 60, .lr = 0.1, .eval_every = 10, .save_every = 4}, folder);
  fs::remove_all(path + "/checkpoints/checkpoint-30");  // an older version did not save that
  for (const int64_t step : steps(folder)) make_old(folder, step);
  CHECK(steps(folder) == std::vector<int64_t>{20, 28});
  CHECK(return_to_passed(folder, guarded.task()) == 20);
  Guarded again(30);
  CHECK(again.run({.steps = 60, .lr = 0.1, .eval_every = 10, .save_every = 4}, folder).steps == 30);
  CHECK(return_to_passed(folder, again.task()) == 20);
}

TEST_CASE("Nothing is gone back to where nothing passed") {
  const std::string path = fresh_folder();
  Toy toy;
  train_toy(toy, {.steps = 6, .save_every = 4}, path, false);
  io::RunFolder folder = io::RunFolder::create(path, true);
  CHECK_THROWS_WITH(return_to_passed(folder, toy.task()),
                    Catch::Contains("no checkpoint whose evaluation passed"));
}

TEST_CASE("A run that keeps checkpoints saves its end, and resumed there it only says so again") {
  const TrainOptions options{.steps = 7, .lr = 0.1, .eval_every = 3, .save_every = 3};
  for (const bool guarded : {false, true}) {
    const std::string path = fresh_folder();
    const auto train = [&](Toy& toy, bool resume, std::vector<Evaluation>& evaluations) {
      io::RunFolder folder = io::RunFolder::create(path, resume);
      auto optimizer = toy.optimizer();
      Task task = toy.task();
      task.save_evaluated = guarded;
      return run_loop(options, optimizer, task, folder, {"main"}, evaluations);
    };
    Toy toy;
    std::vector<Evaluation> evaluations;
    const Outcome outcome = train(toy, false, evaluations);
    CHECK(outcome.measured);
    CHECK(fs::exists(path + "/checkpoints/checkpoint-7"));
    const auto rows = metrics(path);

    Toy other;
    std::vector<Evaluation> again;
    const Outcome resumed = train(other, true, again);
    CHECK(resumed.ending == Ending::kDone);
    CHECK(resumed.steps == 7);
    CHECK(resumed.loss == outcome.loss);
    CHECK(resumed.seconds == outcome.seconds);
    CHECK(resumed.mean_tokens_per_second == outcome.mean_tokens_per_second);
    CHECK(resumed.measured);
    CHECK(torch::equal(other.weight, toy.weight));
    CHECK(again.size() == evaluations.size());
    CHECK(metrics(path) == rows);
  }
}

TEST_CASE("A run without checkpoints saves none at its end") {
  const std::string path = fresh_folder();
  Toy toy;
  CHECK(train_toy(toy, {.steps = 3}, path, false).ending == Ending::kDone);
  CHECK_FALSE(fs::exists(path + "/checkpoints/checkpoint-3"));
}

TEST_CASE("A run of nothing but skipped steps has diverged, however few they were") {
  Toy toy;
  toy.poison_from = 0;
  const Outcome outcome = train_toy(toy, {.steps = 3, .max_nonfinite = 5}, fresh_folder(), false);
  CHECK(outcome.ending == Ending::kDiverged);
  CHECK(outcome.skipped == 3);
  CHECK_FALSE(outcome.measured);
}

TEST_CASE("A run that ends with parameters that are not finite has diverged, and saves none") {
  const std::string path = fresh_folder();
  Toy toy;
  toy.on_batch = [&] {
    const torch::NoGradGuard no_grad;
    if (toy.drawn == 5) toy.weight[3][3] = std::nan("");  // which no batch of the toy's reads
  };
  Task task = toy.task();
  task.next_batch = [&] {
    toy.on_batch();
    data::Batch batch;
    batch.append({{0, 1, 0}, {1, 0, data::kIgnoreIndex}, {1, 1, 1}});
    ++toy.drawn;
    return batch;
  };
  io::RunFolder folder = io::RunFolder::create(path, false);
  optim::FusedAdamW optimizer({{"weight", toy.weight}}, {.weight_decay = 0.1});
  std::vector<Evaluation> evaluations;
  // Clipping would see the hole only if the gradient had it: rows not read have none.
  const Outcome outcome = run_loop({.steps = 6, .lr = 0.1, .save_every = 4}, optimizer, task,
                                   folder, {"main"}, evaluations);
  CHECK(outcome.ending == Ending::kDiverged);
  CHECK(outcome.skipped == 0);
  CHECK(steps(folder) == std::vector<int64_t>{4});
}

TEST_CASE("A signal in any evaluation is heard, and the resumed run equals the uninterrupted one") {
  const TrainOptions options{
      .steps = 8, .lr = 0.05, .log_every = 4, .eval_every = 3, .save_every = 5};
  torch::manual_seed(7);
  Toy whole;
  const std::string reference = fresh_folder();
  train_toy(whole, options, reference, false);

  for (const int64_t stop_at : {0, 3, 6, 8}) {
    const std::string path = fresh_folder();
    const auto train = [&](Toy& toy, bool resume, bool stop) {
      io::RunFolder folder = io::RunFolder::create(path, resume);
      if (!resume) folder.metrics().rewind(-1);
      auto optimizer = toy.optimizer();
      Task task = toy.task();
      task.evaluation.push_back(task.evaluation[0]);  // a set after the one that is interrupted
      int64_t scored = 0;
      task.nll = [&](const data::Batch& batch) {
        if (stop && toy.drawn == stop_at && ++scored == 1) ::raise(SIGINT);
        return toy.nll(batch);
      };
      std::vector<Evaluation> evaluations;
      return run_loop(options, optimizer, task, folder, {"main"}, evaluations);
    };
    torch::manual_seed(7);
    Toy first;
    const Outcome stopped = train(first, false, true);
    REQUIRE(stopped.ending == Ending::kSignal);
    CHECK(stopped.signal == SIGINT);
    CHECK(stopped.steps == stop_at);
    CHECK_FALSE(stopped.measured);
    if (stop_at == 0) torch::manual_seed(7);  // nothing was begun: there is no checkpoint

    Toy second;
    const Outcome resumed = train(second, true, false);
    CHECK(resumed.ending == Ending::kDone);
    CHECK(torch::equal(second.weight, whole.weight));
    const auto rows = metrics(path), expected = metrics(reference);
    REQUIRE(rows.size() == expected.size());
    for (size_t i = 0; i < rows.size(); ++i) CHECK(rows[i].at("step") == expected[i].at("step"));
  }
}

TEST_CASE("A signal that came before a phase begins it and saves it") {
  const std::string path = fresh_folder();
  const TrainOptions options{.steps = 4, .lr = 0.1};
  Toy toy;
  {
    const machine::StopSignal stop;
    ::raise(SIGTERM);
    io::RunFolder folder = io::RunFolder::create(path, false);
    auto optimizer = toy.optimizer();
    std::vector<Evaluation> evaluations = {{10, {}}};
    const Outcome outcome =
        run_loop(options, optimizer, toy.task(), folder, {"main", 10, false}, evaluations);
    CHECK(outcome.ending == Ending::kSignal);
    CHECK(outcome.signal == SIGTERM);
    CHECK(toy.drawn == 0);
    CHECK(steps(folder) == std::vector<int64_t>{10});
  }
  CHECK(machine::StopSignal::received() == 0);
  io::RunFolder folder = io::RunFolder::create(path, true);
  auto optimizer = toy.optimizer();
  std::vector<Evaluation> evaluations;
  CHECK(run_loop(options, optimizer, toy.task(), folder, {"main", 10, false}, evaluations).steps ==
        4);
  CHECK(evaluations.size() == 2);
}

TEST_CASE("A signal in the last step is heard before the last evaluation, and none is made twice") {
  const std::string path = fresh_folder();
  Toy toy;
  toy.on_batch = [&] {
    if (toy.drawn == 3) ::raise(SIGTERM);
  };
  CHECK(train_toy(toy, {.steps = 4, .lr = 0.1}, path, false).ending == Ending::kSignal);
  Toy second;
  std::vector<Evaluation> evaluations;
  CHECK(train_toy(second, {.steps = 4, .lr = 0.1}, path, true, &evaluations).ending ==
        Ending::kDone);
  CHECK(second.drawn == 4);
  CHECK(evaluations.size() == 2);
}

TEST_CASE("Early stopping that never comes to stop still leaves the best weights, measured") {
  Scripted run_of{.values = {5, 3, 1, 2, 4}};
  Toy& toy = run_of.toy;
  const std::string path = fresh_folder();
  io::RunFolder folder = io::RunFolder::create(path, false);
  const Json identity = {{"config", {}}};
  std::vector<Evaluation> evaluations;
  const TrainOptions options{.steps = 8, .lr = 0.1, .eval_every = 2, .save_every = 5};
  const auto train = [&](Toy& which, io::RunFolder& in, const BoardOptions& how, bool controls) {
    DecisionLog log(in.path(), identity);
    Controllers controllers;
    if (controls) {
      controllers.push_back(std::make_unique<EarlyStopping>(EarlyStoppingOptions{.patience = 100}));
    }
    ControllerBoard board(std::move(controllers), &log, how);
    Task task = which.task();
    task.nll = run_of.nll();
    task.board = &board;
    auto optimizer = which.optimizer();
    evaluations.clear();
    return run_loop(options, optimizer, task, in, {"main"}, evaluations);
  };
  torch::manual_seed(3);
  const Outcome outcome = train(toy, folder, {}, true);
  CHECK(outcome.ending == Ending::kDone);
  CHECK(outcome.steps == 8);
  CHECK(outcome.measured);
  CHECK(torch::equal(toy.weight, run_of.seen[2].first));
  CHECK(value_of(evaluations.back()) == 1);
  const auto decisions = read_decisions(path + "/decisions.jsonl", identity);
  CHECK(decisions.front().step == 0);  // the first evaluation is the first best
  CHECK(decisions.back().knob == "rollback");
  CHECK(decisions.back().moment == Moment::kEnd);
  CHECK(decisions.back().rule == "the run has ended; the best was 1.5 at step 4");

  // Resumed at its end it stays so, and its record alone repeats it.
  const at::Tensor best = toy.weight.detach().clone();
  const auto resumed = train(toy, folder, {}, true);
  CHECK(resumed.measured);
  CHECK(torch::equal(toy.weight, best));
  CHECK(read_decisions(path + "/decisions.jsonl", identity).size() == decisions.size());
  torch::manual_seed(3);
  toy.weight.detach().fill_(0.1);
  toy.drawn = 0;
  io::RunFolder other = io::RunFolder::create(fresh_folder(), false);
  train(toy, other, {.replay = decisions}, false);
  CHECK(torch::equal(toy.weight, best));
}

TEST_CASE("The best weights, put back at the end, may fail the evaluation that is made of them") {
  Scripted run_of{.values = {5, 3, 1, 2, 4}};
  Controllers controllers;
  controllers.push_back(std::make_unique<EarlyStopping>(EarlyStoppingOptions{.patience = 100}));
  ControllerBoard board(std::move(controllers), nullptr);
  Task task = run_of.toy.task();
  task.nll = run_of.nll();
  task.board = &board;
  task.after_evaluation = [](const Evaluation& evaluation, bool) {
    return evaluation.step < 8 || value_of(evaluation) != 1;
  };
  io::RunFolder folder = io::RunFolder::create(fresh_folder(), false);
  auto optimizer = run_of.toy.optimizer();
  std::vector<Evaluation> evaluations;
  CHECK(run_loop({.steps = 8, .lr = 0.1, .eval_every = 2}, optimizer, task, folder, {"main"},
                 evaluations)
            .ending == Ending::kStopped);
}

TEST_CASE("Controllers see the first evaluation, whoever made it") {
  struct Recorder : Controller {
    std::vector<int64_t>* seen;
    explicit Recorder(std::vector<int64_t>* list) : seen(list) {}
    std::string name() const override { return "recorder"; }
    void after_evaluation(int64_t step, const Signals& signals, KnobSetter&) override {
      CHECK(signals.find("validation_loss"));
      seen->push_back(step);
    }
  };
  for (const bool evaluate_first : {false, true}) {
    Toy toy;
    std::vector<int64_t> seen;
    Controllers controllers;
    controllers.push_back(std::make_unique<Recorder>(&seen));
    ControllerBoard board(std::move(controllers), nullptr);
    Task task = toy.task();
    task.board = &board;
    std::vector<int64_t> first;
    task.first_evaluation = [&](const Evaluation& evaluation) { first.push_back(evaluation.step); };
    io::RunFolder folder = io::RunFolder::create(fresh_folder(), false);
    auto optimizer = toy.optimizer();
    std::vector<Evaluation> evaluations = {{6, {{"held", "general", 3, 3, 4.0}}}};
    run_loop({.steps = 4, .lr = 0.1, .eval_every = 2}, optimizer, task, folder,
             {"main", 6, evaluate_first}, evaluations);
    CHECK(seen == std::vector<int64_t>{0, 2, 4});  // steps of the phase
    CHECK(first == std::vector<int64_t>{6});
    CHECK(evaluations.size() == (evaluate_first ? 4U : 3U));
  }
}
