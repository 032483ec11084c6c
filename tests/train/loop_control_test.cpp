#include "hone/train/loop_control.h"

#include <torch/types.h>

#include <cmath>
#include <memory>
#include <set>
#include <utility>

#include "hone/core/error.h"
#include "hone/train/controllers/spike.h"
#include "support/catch.h"
#include "support/temporary_folder.h"
#include "toy.h"

using namespace hone;
using namespace hone::train;

namespace {

/// A toy's knobs and signals on a board.
struct Rig {
  Toy toy;
  optim::FusedAdamW optimizer = toy.optimizer();
  ControllerBoard board;
  LoopControl control;

  explicit Rig(const TrainOptions& options = {}, Controllers controllers = {})
      : board(std::move(controllers), nullptr), control(options, optimizer, &board) {}

  double signal(const std::string& name) { return board.signals().find(name).value(); }
};

const std::set<std::string> kStepSignals = {
    "loss", "grad_norm", "lr", "tokens", "step_seconds", "tokens_per_second", "loss_mean"};

}  // namespace

TEST_CASE("The loop's knobs are what the options say, and what they are set to") {
  Rig rig({.accumulation = 3, .clip_norm = 2.5});
  Knobs& knobs = rig.board.knobs();
  CHECK(knobs.get("lr_scale") == 1.0);
  CHECK(knobs.get("accumulation") == 3);
  CHECK(knobs.get("clip_norm") == 2.5);
  CHECK(knobs.get("weight_decay") == 0.1);  // of the optimiser
  CHECK(knobs.get("stop") == false);
  CHECK(knobs.get("snapshot") == nullptr);
  CHECK(knobs.get("rollback") == nullptr);

  knobs.set("lr_scale", 0.25);
  knobs.set("accumulation", 5);
  knobs.set("clip_norm", 0);
  knobs.set("weight_decay", 1);
  knobs.set("stop", true);
  CHECK(rig.control.lr_scale() == 0.25);
  CHECK(rig.control.accumulation() == 5);
  CHECK(rig.control.clip_norm() == 0);
  CHECK(rig.optimizer.weight_decay() == 1);
  CHECK(rig.control.stopped());
}

TEST_CASE("Knobs refuse what is past their limits, and have what is on them") {
  Rig rig;
  Knobs& knobs = rig.board.knobs();
  const auto refused = [&](const char* name, const Json& value) {
    CHECK_THROWS_WITH(knobs.set(name, value),
                      Catch::StartsWith(std::string("the knob ") + name + " must be in ["));
  };
  CHECK_NOTHROW(knobs.set("lr_scale", 0));
  CHECK_NOTHROW(knobs.set("lr_scale", 1e6));
  refused("lr_scale", -1e-9);
  refused("lr_scale", 1.0000001e6);
  refused("lr_scale", std::nan(""));
  CHECK_NOTHROW(knobs.set("accumulation", 1));
  refused("accumulation", 0);
  refused("accumulation", 1000001);
  refused("weight_decay", 1.001);
  refused("weight_decay", -0.001);
  refused("clip_norm", -1);
  CHECK_THROWS_WITH(knobs.set("clip_norm", 1e10),
                    "the knob clip_norm must be in [0.0, 1000000000.0], got 10000000000.0");
  CHECK_THROWS_WITH(knobs.set("stop", "yes"), "the knob stop cannot be \"yes\", it is now false");
}

TEST_CASE("A step's signals") {
  Rig rig;
  rig.control.measure({.loss = 2, .lr = 0.5, .weight = 8, .grad_norm = 3, .tokens = 60}, 1.5);
  CHECK(rig.board.signals().fresh() == kStepSignals);  // no slope of one value, no noise scale
  CHECK(rig.signal("loss") == 2);
  CHECK(rig.signal("grad_norm") == 3);
  CHECK(rig.signal("lr") == 0.5);
  CHECK(rig.signal("tokens") == 60);
  CHECK(rig.signal("step_seconds") == 1.5);
  CHECK(rig.signal("tokens_per_second") == 40);
  CHECK(rig.signal("loss_mean") == Approx(2));

  rig.control.ask(1);
  CHECK(rig.board.signals().fresh().empty());
  rig.control.measure({.loss = 1, .weight = 8}, 1);
  CHECK(rig.signal("loss_slope") == Approx(-1));
  CHECK(rig.signal("loss_mean") == Approx((0.9 * 2 + 1) / 1.9));
}

TEST_CASE("A skipped step is measured, and smoothed nowhere") {
  Rig rig;
  rig.control.measure({.loss = 2, .weight = 8}, 1);
  rig.control.ask(1);
  rig.control.measure({.loss = std::nan(""), .weight = 8, .skipped = true}, 1);
  CHECK(rig.board.signals().fresh() == std::set<std::string>{"loss", "grad_norm", "lr", "tokens",
                                                             "step_seconds", "tokens_per_second"});
  CHECK(rig.signal("loss_mean") == 2);
}

TEST_CASE("The noise scale goes by the gradient of the first batch alone") {
  const std::vector<double> slopes = {8, 12, 4}, weights = {4, 8, 4};
  for (const int64_t accumulation : {1, 3}) {
    Toy toy;
    Task task = toy.task();
    task.loss = [&](const data::Batch&) {
      const auto i = static_cast<size_t>((toy.drawn - 1) % accumulation);
      return loss::LossSum{toy.weight[0][0] * slopes[i], torch::tensor(weights[i])};
    };
    std::vector<std::optional<double>> seen;
    ControllerBoard board({}, nullptr);
    task.board = &board;
    task.measure = [&](const StepStats&, Signals& signals) {
      seen.push_back(signals.find("noise_scale"));
    };
    io::RunFolder folder = io::RunFolder::create(fresh_folder(), false);
    auto optimizer = toy.optimizer();
    std::vector<Evaluation> evaluations;
    run_loop({.steps = 2, .accumulation = accumulation, .lr = 0.01}, optimizer, task, folder,
             {"main"}, evaluations);
    REQUIRE(seen.size() == 2);
    if (accumulation == 1) {
      CHECK((!seen[0] && !seen[1]));  // a step of one batch has none
      continue;
    }
    // Means: 2 over the first batch's weight of 4, 1.5 over all 16; three positions a batch.
    const double signal = (16 * 2.25 - 4 * 4.0) / 12, noise = (4 - 2.25) / (1 / 4.0 - 1 / 16.0);
    for (const auto& value : seen) CHECK(value.value() == Approx(noise / signal * 9 / 16));
  }
}

TEST_CASE("The noise scale by hand") {
  Rig rig({.accumulation = 2});
  const auto gradient = [&](double slope) { (rig.toy.weight[1][2] * slope).backward(); };
  gradient(8);
  rig.control.after_first_batch(4);  // a mean of 2
  gradient(16);
  const StepStats stats{.loss = 1, .weight = 16, .grad_norm = 1.5, .tokens = 48};  // 24 / 16
  rig.control.measure(stats, 1);
  const double signal = (16 * 2.25 - 4 * 4.0) / 12, noise = (4 - 2.25) / (1 / 4.0 - 1 / 16.0);
  CHECK(rig.signal("noise_scale") == Approx(noise / signal * 48 / 16));  // in positions
  // The next step measured no first batch.
  rig.control.ask(1);
  rig.control.measure(stats, 1);
  CHECK_FALSE(rig.board.signals().fresh().contains("noise_scale"));
}

TEST_CASE("No noise scale of a first batch without targets, or one that is the whole step") {
  Rig rig({.accumulation = 2});
  (rig.toy.weight[0][0] * 2).backward();
  rig.control.after_first_batch(0);
  rig.control.measure({.loss = 1, .weight = 4, .grad_norm = 1, .tokens = 4}, 1);
  rig.control.after_first_batch(4);
  rig.control.measure({.loss = 1, .weight = 4, .grad_norm = 1, .tokens = 4}, 1);
  CHECK_FALSE(rig.board.signals().find("noise_scale"));
}

TEST_CASE("An evaluation's signals: perplexity by domain, and how far training is ahead") {
  Rig rig;
  rig.control.after_evaluation({5, {{"a", "law", 4, 8, 8}, {"b", "law", 4, 0, 8}}});
  CHECK(rig.signal("validation/law") == Approx(std::exp(2)));  // 16 over 8 of the base's tokens
  CHECK(rig.signal("validation_loss") == 2);                   // 16 over 8 targets
  CHECK_FALSE(rig.board.signals().find("train_validation_gap"));
  rig.control.measure({.loss = 1.5, .weight = 1}, 1);
  rig.control.after_evaluation({6, {{"a", "law", 4, 4, 8}}});
  CHECK(rig.signal("train_validation_gap") == Approx(0.5));
  CHECK(rig.board.signals().fresh().empty());

  Rig empty;
  empty.control.after_evaluation({1, {{"a", "law", 0, 0, 0}}});
  CHECK_FALSE(empty.board.signals().find("validation_loss"));
}

TEST_CASE("A rollback is told once, and goes to the step of its snapshot") {
  Rig rig;
  rig.control.at_start(7);
  rig.board.knobs().set("snapshot", "best");
  CHECK(rig.control.snapshots().step("best") == 7);
  CHECK_FALSE(rig.control.take_rolled_back());
  {
    const torch::NoGradGuard no_grad;
    rig.toy.weight.fill_(3);
  }
  rig.board.knobs().set("rollback", "best");
  CHECK(torch::equal(rig.toy.weight, torch::full({4, 4}, 0.1)));
  CHECK(rig.control.take_rolled_back());
  CHECK_FALSE(rig.control.take_rolled_back());
  CHECK_THROWS_WITH(rig.board.knobs().set("rollback", "last"),
                    "there is no snapshot last to go back to");
  rig.control.ask(9);
  rig.board.knobs().set("snapshot", "later");
  CHECK(rig.control.snapshots().step("later") == 9);
}

TEST_CASE("Everything comes back from a checkpoint") {
  const TemporaryFolder folder;
  const auto controllers = [] {
    Controllers list;
    list.push_back(std::make_unique<Spike>(SpikeOptions{}));
    return list;
  };
  Rig first({.accumulation = 2}, controllers());
  for (const auto& [name, value] : std::map<std::string, Json>{{"lr_scale", 0.5},
                                                               {"accumulation", 4},
                                                               {"weight_decay", 0.3},
                                                               {"clip_norm", 7},
                                                               {"stop", true},
                                                               {"snapshot", "best"}}) {
    first.board.knobs().set(name, value);
  }
  (first.toy.weight[0][0] * 8).backward();
  first.control.after_first_batch(4);
  first.control.measure({.loss = 3, .weight = 16, .grad_norm = 1.5, .tokens = 16}, 2);
  first.control.ask(1);
  const Json state = parse_json(first.control.save(folder.path).dump(), "state");

  Rig second({}, controllers());
  second.control.load(folder.path, state);
  CHECK(second.control.lr_scale() == 0.5);
  CHECK(second.control.accumulation() == 4);
  CHECK(second.optimizer.weight_decay() == 0.3);
  CHECK(second.control.clip_norm() == 7);
  CHECK(second.control.stopped());
  CHECK(second.control.snapshots().step("best") == 0);
  CHECK(second.board.signals().values() == first.board.signals().values());
  CHECK(second.board.signals().fresh().empty());
  CHECK(second.control.save(folder.path) == state);
}

TEST_CASE("Without a board nothing is measured or kept") {
  Toy toy;
  auto optimizer = toy.optimizer();
  LoopControl control({.accumulation = 2}, optimizer, nullptr);
  (toy.weight[0][0] * 2).backward();
  CHECK_NOTHROW(control.after_first_batch(1));
  CHECK_NOTHROW(control.measure({.loss = 1}, 1));
  CHECK_NOTHROW(control.after_evaluation({}));
  const TemporaryFolder folder;
  CHECK(control.save(folder.path) == nullptr);
  CHECK(std::filesystem::is_empty(folder.path));

  Rig rig;  // a run that gets its controllers only now
  rig.control.load(folder.path, nullptr);
  CHECK(rig.control.lr_scale() == 1);
}
