#include "hone/train/trainer.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <chrono>
#include <cmath>
#include <set>
#include <string>

#include "hone/core/log.h"
#include "hone/train/adaptation.h"
#include "hone/train/progress.h"
#include "hone/train/resume.h"
#include "hone/train/stop_signal.h"

namespace hone::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// The signals of this step that the row does not hold already.
Json measured(const Signals& signals) {
  static const std::set<std::string> elsewhere = {
      "loss", "grad_norm", "lr", "tokens", "step_seconds", "tokens_per_second"};
  Json row = Json::object();
  for (const std::string& name : signals.fresh()) {
    if (!elsewhere.contains(name)) row[name] = *signals.find(name);
  }
  return row;
}

/// One run of the loop: its options, the task, and the state that a checkpoint saves.
class Loop {
 public:
  Loop(const TrainOptions& options, kernels::FusedAdamW& optimizer, const Task& task,
       io::RunFolder& folder, const Phase& phase, std::vector<Evaluation>& evaluations)
      : options_(options),
        optimizer_(optimizer),
        task_(task),
        folder_(folder),
        phase_(phase),
        evaluations_(evaluations),
        progress_(options.steps, options.log_every, phase.first_step, phase.word),
        adaptation_(options, optimizer, task.board) {
    position_.seconds = phase.seconds;
  }

  Outcome run();

 private:
  StepStats step();
  bool finite_gradient(double sum, double total_weight, StepStats& stats);
  void adapt(const StepStats& stats, double seconds);
  void record(const StepStats& stats, double seconds);
  void evaluate_now();
  bool evaluation_passed();
  void save();
  bool resume();
  Ending loop();

  const TrainOptions& options_;
  kernels::FusedAdamW& optimizer_;
  const Task& task_;
  io::RunFolder& folder_;
  const Phase& phase_;
  std::vector<Evaluation>& evaluations_;
  Progress progress_;
  Adaptation adaptation_;
  Position position_;
  int64_t tokens_here_ = 0;  // processed by this process
  int64_t saved_at_ = -1;
  Outcome outcome_;
};

StepStats Loop::step() {
  StepStats stats;
  stats.lr = learning_rate(options_, position_.step) * adaptation_.lr_scale();
  if (task_.before_step) task_.before_step(position_.step + 1);
  double sum = 0, weight = 0;
  for (int64_t i = 0; i < adaptation_.accumulation(); ++i) {
    const data::Batch batch = task_.next_batch();
    stats.tokens += batch.tokens();
    const loss::LossSum loss = task_.loss(batch);
    loss.sum.backward();
    sum += loss.sum.item<double>();
    weight += loss.weight.item<double>();
    if (i == 0) adaptation_.after_first_batch(weight);
  }
  stats.loss = sum / weight;
  stats.weight = weight;
  if (finite_gradient(sum, weight, stats)) {
    optimizer_.set_lr(stats.lr);
    optimizer_.step();
  } else {
    stats.skipped = true;
  }
  optimizer_.zero_grad();
  stats.step = ++position_.step;
  return stats;
}

bool Loop::finite_gradient(double sum, double total_weight, StepStats& stats) {
  if (!std::isfinite(sum) || !(total_weight > 0)) return false;
  stats.grad_norm = optimizer_.scale_and_clip(1 / total_weight, adaptation_.clip_norm());
  return std::isfinite(stats.grad_norm);
}

void Loop::evaluate_now() {
  evaluations_.push_back(
      {phase_.first_step + position_.step, evaluate(task_.evaluation, task_.nll)});
  log_info(describe(evaluations_.back()));
  folder_.metrics().write(evaluation_row(evaluations_.back()));
  adaptation_.after_evaluation(evaluations_.back());
}

bool Loop::evaluation_passed() {
  evaluate_now();
  if (task_.after_evaluation && !task_.after_evaluation(evaluations_.back())) return false;
  if (task_.save_evaluated) save();
  return true;
}

void Loop::adapt(const StepStats& stats, double seconds) {
  adaptation_.measure(stats, seconds);
  if (task_.board && task_.measure) task_.measure(stats.step, task_.board->signals());
  record(stats, outcome_.seconds);
  adaptation_.ask(phase_.first_step + stats.step);
  if (adaptation_.take_rolled_back()) position_.skipped_in_row = 0;
}

void Loop::record(const StepStats& stats, double seconds) {
  position_.tokens += stats.tokens;
  tokens_here_ += stats.tokens;
  if (stats.skipped) {
    ++position_.skipped;
    ++position_.skipped_in_row;
    log_warning(
        fmt::format("step {}: the loss or gradient is not finite; step skipped ({} in a row, "
                    "the run stops after {})",
                    phase_.first_step + stats.step, position_.skipped_in_row,
                    options_.max_nonfinite));
  } else {
    position_.skipped_in_row = 0;
  }
  Json row = step_row(stats, phase_.first_step, static_cast<double>(tokens_here_) / seconds);
  if (task_.extra_metrics) row.update(task_.extra_metrics());
  if (task_.board) row["signals"] = measured(task_.board->signals());
  folder_.metrics().write(row);
  if (auto line = progress_.add(stats, tokens_here_, seconds)) log_info(*line);
}

void Loop::save() {
  if (!task_.save || saved_at_ == position_.step) return;
  position_.losses = progress_.losses();
  save_checkpoint(folder_, phase_, position_, evaluations_, optimizer_, adaptation_, task_);
  folder_.rotate(options_.keep_checkpoints);
  saved_at_ = position_.step;
}

bool Loop::resume() {
  if (!task_.load) return false;
  auto resumed = resume_checkpoint(folder_, phase_, optimizer_, adaptation_, task_);
  if (!resumed) return false;
  position_ = std::move(resumed->position);
  evaluations_ = std::move(resumed->evaluations);
  progress_.set_losses(position_.losses);
  saved_at_ = position_.step;
  folder_.metrics().rewind(phase_.first_step + position_.step);
  if (task_.board) task_.board->rewind(phase_.first_step + position_.step);
  log_info(fmt::format("resumed at step {}", phase_.first_step + position_.step));
  return true;
}

Ending Loop::loop() {
  const auto due = [&](int64_t every) {
    return every > 0 && position_.step % every == 0 && position_.step < options_.steps;
  };
  while (position_.step < options_.steps && !adaptation_.stopped()) {
    const auto begin = Clock::now();
    const StepStats stats = step();
    const double seconds = seconds_since(begin);
    outcome_.seconds += seconds;
    position_.seconds += seconds;
    adapt(stats, seconds);
    if (position_.skipped_in_row > options_.max_nonfinite) return Ending::kDiverged;
    if (due(options_.eval_every) && !evaluation_passed()) return Ending::kStopped;
    if (due(options_.save_every)) save();
    if ((outcome_.signal = StopSignal::received())) {
      save();
      return Ending::kSignal;
    }
  }
  return Ending::kDone;
}

Outcome Loop::run() {
  const StopSignal stop;
  if (!resume()) {
    adaptation_.at_start(phase_.first_step);
    if (phase_.evaluate_first) evaluate_now();
    if (task_.save_evaluated) save();
  }
  outcome_.ending = loop();
  if (outcome_.ending == Ending::kDone && options_.steps > 0 && !evaluation_passed()) {
    outcome_.ending = Ending::kStopped;
  }
  outcome_.steps = position_.step;
  outcome_.tokens = position_.tokens;
  outcome_.skipped = position_.skipped;
  outcome_.loss = progress_.recent_loss();
  if (outcome_.seconds > 0) {
    outcome_.tokens_per_second = static_cast<double>(tokens_here_) / outcome_.seconds;
  }
  outcome_.seconds = position_.seconds;
  return std::move(outcome_);
}

}  // namespace

Outcome run(const TrainOptions& options, kernels::FusedAdamW& optimizer, const Task& task,
            io::RunFolder& folder, const Phase& phase, std::vector<Evaluation>& evaluations) {
  return Loop(options, optimizer, task, folder, phase, evaluations).run();
}

}  // namespace hone::train
