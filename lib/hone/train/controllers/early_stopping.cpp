#include "hone/train/controllers/early_stopping.h"

#include <fmt/format.h>

#include <cmath>

#include "hone/train/detail/state.h"

namespace hone::train {
namespace {

constexpr const char* kSnapshot = "best";

}  // namespace

void EarlyStoppingOptions::validate(Validation& v) const {
  if (metric != "validation_loss" && !(metric.starts_with("validation/") && is_signal(metric))) {
    v.problem("metric", "must be validation_loss or validation/<domain>, got \"" + metric + "\"");
  }
}

bool EarlyStopping::best_is_past() const {
  return options_.restore_best && best_ && bad_ > 0 && !(last_ && *last_ <= *best_);
}

std::string EarlyStopping::best_text() const {
  return fmt::format("the best was {} at step {}", best_ ? fmt::format("{:.6g}", *best_) : "none",
                     first_step_ + best_step_);
}

void EarlyStopping::after_step(int64_t, const Signals&, KnobSetter&) {
  if (!stopped_) return;
  stopped_ = false;
  bad_ = 0;
}

void EarlyStopping::after_evaluation(int64_t step, const Signals& signals, KnobSetter& adjuster) {
  if (stopped_) return;  // the evaluation of the weights that it went back to says nothing new
  const double value = detail::needed(signals, options_.metric);
  last_ = std::isfinite(value) ? std::optional(value) : std::nullopt;
  if (last_ && (!best_ || value < *best_ * (1 - options_.min_gain))) {
    best_ = value;
    best_step_ = step;
    bad_ = 0;
    if (options_.restore_best) {
      adjuster.set("snapshot", kSnapshot, "the best " + options_.metric + " so far",
                   {options_.metric});
    }
    return;
  }
  if (++bad_ < options_.patience) return;
  const std::string rule =
      fmt::format("{} has not gained in {} evaluations; {}", options_.metric, bad_, best_text());
  if (best_is_past()) adjuster.set("rollback", kSnapshot, rule, {options_.metric});
  adjuster.set("stop", true, rule, {options_.metric});
  stopped_ = true;
}

void EarlyStopping::at_end(int64_t, KnobSetter& adjuster) {
  if (stopped_ || !best_is_past()) return;
  adjuster.set("rollback", kSnapshot, "the run has ended; " + best_text(), {options_.metric});
  stopped_ = true;
}

void EarlyStopping::snapshot_lost(const std::string& name) {
  if (name != kSnapshot) return;
  best_.reset();
  last_.reset();
}

Json EarlyStopping::state() const {
  return {{"best", detail::number_json(best_)},
          {"last", detail::number_json(last_)},
          {"best_step", best_step_},
          {"bad", bad_},
          {"stopped", stopped_}};
}

void EarlyStopping::restore(const Json& state) {
  best_ = detail::number_from_json(state.at("best"));
  last_ = detail::number_from_json(state.value("last", Json()));
  best_step_ = state.at("best_step");
  bad_ = state.at("bad");
  stopped_ = state.value("stopped", false);
}

}  // namespace hone::train
