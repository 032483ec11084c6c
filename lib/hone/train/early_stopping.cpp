#include "hone/train/early_stopping.h"

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

void EarlyStopping::after_evaluation(int64_t step, const Signals& signals, Adjuster& adjuster) {
  const double value = detail::needed(signals, options_.metric);
  if (std::isfinite(value) && (!best_ || value < *best_ * (1 - options_.min_gain))) {
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
  const std::string rule = fmt::format(
      "{} has not gained in {} evaluations; the best was {} at step {}", options_.metric, bad_,
      best_ ? fmt::format("{:.6g}", *best_) : "none", best_step_);
  if (options_.restore_best && best_) {
    adjuster.set("rollback", kSnapshot, rule, {options_.metric});
  }
  adjuster.set("stop", true, rule, {options_.metric});
  bad_ = 0;  // the evaluation of the weights that it went back to says nothing new
}

Json EarlyStopping::state() const {
  return {{"best", detail::number_json(best_)}, {"best_step", best_step_}, {"bad", bad_}};
}

void EarlyStopping::restore(const Json& state) {
  best_ = detail::number_from_json(state.at("best"));
  best_step_ = state.at("best_step");
  bad_ = state.at("bad");
}

}  // namespace hone::train
