#include "hone/train/loop.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <chrono>
#include <cmath>
#include <set>
#include <string>

#include "hone/core/log.h"
#include "hone/kernels/finite.h"
#include "hone/machine/stop_signal.h"
#include "hone/train/loop_control.h"
#include "hone/train/progress.h"
#include "hone/train/resume.h"

namespace hone::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// The signals of this step that the row does not hold already.
Json measured(const Signals& signals) {
  static const std::set<std::string> elsewhere = {"loss",   "grad_norm",    "lr",
                                                  "tokens", "step_seconds", "tokens_per_second"};
  Json row = Json::object();
  for (const std::string& name : signals.fresh()) {
    if (!elsewhere.contains(name)) row[name] = *signals.find(name);
  }
  return row;
}

/// One run of the loop: its options, the task, and the state that a checkpoint saves.
class Loop {
 public:
  Loop(const TrainOptions& options, optim::Optimizer& optimizer, const Task& task,
       io::RunFolder& folder, const Phase& phase, std::vector<Evaluation>& evaluations)
      : options_(options),
        optimizer_(optimizer),
        task_(task),
        folder_(folder),
        phase_(phase),
        evaluations_(evaluations),
        progress_(options.steps, options.log_every, phase.first_step, phase.word),
        control_(options, optimizer, task.board) {
    position_.seconds = phase.seconds;
  }

  Outcome run();

 private:
  StepStats step();
  bool finite_gradient(double sum, double total_weight, StepStats& stats);
  void adapt(const StepStats& stats, double seconds);
  void record(const StepStats& stats, double seconds);
  int64_t run_step() const { return phase_.first_step + position_.step; }
  bool over() const { return position_.step >= options_.steps || control_.stopped(); }
  /// Whether the phase keeps checkpoints at all.
  bool keeps() const { return options_.save_every > 0 || task_.save_evaluated; }
  void score();
  void ask();
  bool evaluation_passed();
  void save();
  bool resume();
  void begin();
  Ending train();
  Ending end();
  Ending go();

  const TrainOptions& options_;
  optim::Optimizer& optimizer_;
  const Task& task_;
  io::RunFolder& folder_;
  const Phase& phase_;
  std::vector<Evaluation>& evaluations_;
  Progress progress_;
  LoopControl control_;
  Position position_;
  bool begun_ = false;  // whether there is anything that a checkpoint could hold
  int64_t saved_at_ = -1;
  Outcome outcome_;
};

StepStats Loop::step() {
  StepStats stats;
  stats.lr = learning_rate(options_, position_.step) * control_.lr_scale();
  if (task_.before_step) task_.before_step(position_.step + 1);
  double sum = 0, weight = 0;
  for (int64_t i = 0; i < control_.accumulation(); ++i) {
    const data::Batch batch = task_.next_batch();
    stats.tokens += batch.tokens();
    const loss::LossSum loss = task_.loss(batch);
    loss.sum.backward();
    sum += loss.sum.item<double>();
    weight += loss.weight.item<double>();
    if (i == 0) control_.after_first_batch(weight);
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
  stats.grad_norm = optimizer_.scale_and_clip(1 / total_weight, control_.clip_norm());
  return std::isfinite(stats.grad_norm);
}

/// Measures the weights as they are.
void Loop::score() {
  evaluations_.push_back({run_step(), evaluate(task_.evaluation, task_.nll)});
  log_info(describe(evaluations_.back()));
  folder_.metrics().write(evaluation_row(evaluations_.back()));
  position_.measured = true;
}

/// Asks the controllers about the last evaluation.
void Loop::ask() {
  control_.after_evaluation(evaluations_.back());
  if (!control_.take_rolled_back()) return;
  position_.skipped_in_row = 0;
  position_.measured = false;
}

bool Loop::evaluation_passed() {
  score();
  ask();
  if (task_.after_evaluation && !task_.after_evaluation(evaluations_.back(), over())) return false;
  if (task_.save_evaluated && position_.measured) {
    position_.passed_at = run_step();
    if (!over()) save();  // else the last checkpoint is this one
  }
  return true;
}

void Loop::adapt(const StepStats& stats, double seconds) {
  if (task_.after_step) task_.after_step(stats);
  control_.measure(stats, seconds);
  if (task_.board && task_.measure) task_.measure(stats, task_.board->signals());
  record(stats, seconds);
  control_.ask(run_step());
  if (control_.take_rolled_back()) position_.skipped_in_row = 0;
}

void Loop::record(const StepStats& stats, double seconds) {
  position_.tokens += stats.tokens;
  position_.timed_tokens += stats.tokens;
  position_.timed_seconds += seconds;
  position_.seconds += seconds;
  position_.measured = false;
  if (stats.skipped) {
    ++position_.skipped;
    ++position_.skipped_in_row;
    log_warning(fmt::format(
        "step {}: the loss or gradient is not finite; step skipped ({} in a row, "
        "the run stops after {})",
        phase_.first_step + stats.step, position_.skipped_in_row, options_.max_nonfinite));
  } else {
    position_.skipped_in_row = 0;
  }
  Json row = step_row(stats, phase_.first_step, seconds);
  if (task_.extra_metrics) row.update(task_.extra_metrics());
  if (task_.board) row["signals"] = measured(task_.board->signals());
  folder_.metrics().write(row);
  const std::string beside = task_.beside ? task_.beside() : "";
  if (auto line = progress_.add(stats, seconds, beside)) log_info(*line);
}

void Loop::save() {
  if (!task_.save || !begun_) return;
  if (saved_at_ == position_.step && !position_.ended) return;
  position_.losses = progress_.losses();
  save_checkpoint(folder_, phase_, position_, evaluations_, optimizer_, control_, task_);
  folder_.rotate(options_.keep_checkpoints, position_.passed_at);
  saved_at_ = position_.step;
}

bool Loop::resume() {
  if (!task_.load) return false;
  auto resumed = resume_checkpoint(folder_, phase_, optimizer_, control_, task_);
  if (!resumed) return false;
  position_ = std::move(resumed->position);
  evaluations_ = std::move(resumed->evaluations);
  progress_.set_losses(position_.losses);
  saved_at_ = position_.step;
  begun_ = true;
  if (position_.ended == Ending::kDone && !over()) position_.ended.reset();  // it was lengthened
  folder_.metrics().rewind(run_step());
  if (task_.board) task_.board->rewind(run_step());
  log_info(fmt::format("resumed at step {}", run_step()));
  return true;
}

void Loop::begin() {
  if (task_.board) task_.board->rewind(phase_.first_step - 1);  // of a run that was killed
  control_.at_start(phase_.first_step);
  if (phase_.evaluate_first) score();
  if (!evaluations_.empty() && evaluations_.back().step == phase_.first_step) {
    if (task_.first_evaluation) task_.first_evaluation(evaluations_.back());
    ask();
  }
  begun_ = true;
  if (!task_.save_evaluated) return;
  position_.passed_at = run_step();
  save();
}

Ending Loop::train() {
  const auto due = [&](int64_t every) {
    return every > 0 && position_.step > 0 && position_.step % every == 0 &&
           position_.step < options_.steps;
  };
  const bool cut_short = evaluations_.empty() || evaluations_.back().step != run_step();
  if (due(options_.eval_every) && cut_short && !evaluation_passed()) return Ending::kStopped;
  while (!over()) {
    machine::StopSignal::check();
    const auto begin = Clock::now();
    const StepStats stats = step();
    adapt(stats, seconds_since(begin));
    if (position_.skipped_in_row > options_.max_nonfinite) return Ending::kDiverged;
    if (due(options_.eval_every) && !evaluation_passed()) return Ending::kStopped;
    if (due(options_.save_every)) save();
  }
  return position_.step > 0 && position_.skipped == position_.step ? Ending::kDiverged : end();
}

/// After the last step: its evaluation, and what the controllers make of the run.
Ending Loop::end() {
  if (options_.steps == 0) return Ending::kDone;
  if (!position_.measured && !evaluation_passed()) return Ending::kStopped;
  control_.at_end(run_step());
  if (control_.take_rolled_back()) {
    position_.measured = false;
    if (!evaluation_passed()) return Ending::kStopped;
  }
  for (const auto& [name, parameter] : optimizer_.parameters()) {
    if (kernels::all_finite(parameter)) continue;
    log_warning(name + " holds numbers that are not finite");
    return Ending::kDiverged;
  }
  return Ending::kDone;
}

Ending Loop::go() {
  if (task_.board) task_.board->begin(phase_.first_step);
  if (!resume()) begin();
  if (position_.ended) return *position_.ended;
  const Ending ending = train();
  if (ending == Ending::kDiverged) return ending;
  // Whoever resumes from here has only to do what comes after training.
  if (keeps() || machine::StopSignal::received() != 0) {
    position_.ended = ending;
    save();
  }
  return ending;
}

Outcome Loop::run() {
  const machine::StopSignal stop;
  try {
    outcome_.ending = go();
  } catch (const machine::Interrupted&) {
    save();
    outcome_.ending = Ending::kSignal;
    outcome_.signal = machine::StopSignal::received();
  }
  outcome_.steps = position_.step;
  outcome_.tokens = position_.tokens;
  outcome_.skipped = position_.skipped;
  outcome_.seconds = position_.seconds;
  outcome_.loss = progress_.recent_loss();
  outcome_.measured = position_.measured;
  if (position_.timed_seconds > 0) {
    outcome_.mean_tokens_per_second =
        static_cast<double>(position_.timed_tokens) / position_.timed_seconds;
  }
  return std::move(outcome_);
}

}  // namespace

Outcome run_loop(const TrainOptions& options, optim::Optimizer& optimizer, const Task& task,
                 io::RunFolder& folder, const Phase& phase, std::vector<Evaluation>& evaluations) {
  return Loop(options, optimizer, task, folder, phase, evaluations).run();
}

}  // namespace hone::train
