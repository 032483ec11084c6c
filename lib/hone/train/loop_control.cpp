#include "hone/train/loop_control.h"

#include <cmath>

#include "hone/core/error.h"
#include "hone/train/loop.h"

namespace hone::train {
namespace {

constexpr double kLossDecay = 0.9;  // about ten steps count
constexpr size_t kSlopeSteps = 20;
constexpr const char* kSnapshotsFile = "/snapshots.safetensors";

double checked(double value, double low, double high, const char* knob) {
  if (!(value >= low && value <= high)) {
    throw Error(std::string("the knob ") + knob + " must be in [" + Json(low).dump() + ", " +
                Json(high).dump() + "], got " + Json(value).dump());
  }
  return value;
}

}  // namespace

LoopControl::LoopControl(const TrainOptions& options, optim::Optimizer& optimizer,
                         ControllerBoard* board)
    : optimizer_(optimizer),
      board_(board),
      snapshots_(optimizer),
      accumulation_(options.accumulation),
      clip_norm_(options.clip_norm),
      loss_(kLossDecay),
      slope_(kSlopeSteps) {
  if (board_) add_knobs();
}

void LoopControl::add_knobs() {
  Knobs& knobs = board_->knobs();
  knobs.add("lr_scale", {[this] { return lr_scale_; },
                         [this](const Json& v) { lr_scale_ = checked(v, 0, 1e6, "lr_scale"); }});
  knobs.add("accumulation", {[this] { return accumulation_; },
                             [this](const Json& v) {
                               accumulation_ =
                                   static_cast<int64_t>(checked(v, 1, 1e6, "accumulation"));
                             }});
  knobs.add("weight_decay", {[this] { return optimizer_.weight_decay(); },
                             [this](const Json& v) {
                               optimizer_.set_weight_decay(checked(v, 0, 1, "weight_decay"));
                             }});
  knobs.add("clip_norm", {[this] { return clip_norm_; },
                          [this](const Json& v) { clip_norm_ = checked(v, 0, 1e9, "clip_norm"); }});
  knobs.add("stop", {[this] { return stop_; }, [this](const Json& v) { stop_ = v.get<bool>(); }});
  // What these two are now is nothing: each setting is an act of its own.
  knobs.add("snapshot", {[] { return nullptr; },
                         [this](const Json& v) { snapshots_.take(v.get<std::string>(), step_); }});
  knobs.add("rollback", {[] { return nullptr; },
                         [this](const Json& v) {
                           snapshots_.restore(v.get<std::string>());
                           rolled_back_ = true;
                         }});
}

void LoopControl::at_start(int64_t step) {
  if (!board_) return;
  step_ = step;
  board_->run(Moment::kStart, step);
}

void LoopControl::after_first_batch(double weight) {
  if (!board_ || accumulation_ == 1 || !(weight > 0)) return;
  first_norm_ = optimizer_.scale_and_clip(1 / weight, 0);
  first_weight_ = weight;
}

void LoopControl::measure(const StepStats& stats, double seconds) {
  if (!board_) return;
  Signals& signals = board_->signals();
  const double first_weight = std::exchange(first_weight_, 0);
  signals.set("loss", stats.loss);
  signals.set("grad_norm", stats.grad_norm);
  signals.set("lr", stats.lr);
  signals.set("tokens", static_cast<double>(stats.tokens));
  signals.set("step_seconds", seconds);
  signals.set("tokens_per_second", static_cast<double>(stats.tokens) / seconds);
  if (stats.skipped) return;
  loss_.add(stats.loss);
  slope_.add(stats.loss);
  signals.set("loss_mean", *loss_.value());
  if (const auto slope = slope_.value()) signals.set("loss_slope", *slope);
  if (first_weight == 0 || !(stats.weight > first_weight)) return;
  noise_.add(first_norm_ * first_norm_, first_weight, stats.grad_norm * stats.grad_norm,
             stats.weight);
  if (const auto noise = noise_.value()) {  // in targets' weight, as the gradient's mean counts
    signals.set("noise_scale", *noise * static_cast<double>(stats.tokens) / stats.weight);
  }
}

void LoopControl::ask(int64_t step) {
  if (!board_) return;
  step_ = step;
  board_->run(Moment::kStep, step);
  for (const std::string& name : snapshots_.refresh(step)) board_->snapshot_lost(name);
  board_->signals().age();
}

void LoopControl::after_evaluation(const Evaluation& evaluation) {
  if (!board_) return;
  step_ = evaluation.step;
  Signals& signals = board_->signals();
  double nll = 0;
  int64_t tokens = 0;
  for (const Score& score : by_domain(evaluation.scores)) {
    signals.set("validation/" + score.domain, score.perplexity());
    nll += score.nll;
    tokens += score.tokens;
  }
  if (tokens > 0) {
    const double loss = nll / static_cast<double>(tokens);
    signals.set("validation_loss", loss);
    if (const auto mean = signals.find("loss_mean")) {
      signals.set("train_validation_gap", loss - *mean);
    }
  }
  board_->run(Moment::kEvaluation, evaluation.step);
  board_->signals().age();
}

void LoopControl::at_end(int64_t step) {
  if (!board_) return;
  step_ = step;
  board_->run(Moment::kEnd, step);
}

Json LoopControl::save(const std::string& folder) const {
  if (!board_) return nullptr;
  return {{"lr_scale", lr_scale_},
          {"accumulation", accumulation_},
          {"weight_decay", optimizer_.weight_decay()},
          {"clip_norm", clip_norm_},
          {"stop", stop_},
          {"signals", board_->signals().values()},
          {"loss", loss_.state()},
          {"slope", slope_.state()},
          {"noise", noise_.state()},
          {"snapshots", snapshots_.save(folder + kSnapshotsFile)},
          {"board", board_->state()}};
}

void LoopControl::load(const std::string& folder, const Json& state) {
  if (!board_ || state.is_null()) return;  // null: the run had no controllers until now
  lr_scale_ = state.at("lr_scale");
  accumulation_ = state.at("accumulation");
  optimizer_.set_weight_decay(state.at("weight_decay"));
  clip_norm_ = state.at("clip_norm");
  stop_ = state.at("stop");
  for (const auto& [name, value] : state.at("signals").items()) {
    if (value.is_number()) board_->signals().set(name, value.get<double>());
  }
  board_->signals().age();
  loss_.restore(state.at("loss"));
  slope_.restore(state.at("slope"));
  noise_.restore(state.at("noise"));
  snapshots_.load(folder + kSnapshotsFile, state.at("snapshots"));
  board_->restore(state.at("board"));
}

}  // namespace hone::train
