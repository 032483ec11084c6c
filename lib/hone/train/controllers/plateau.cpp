#include "hone/train/controllers/plateau.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "hone/train/detail/state.h"

namespace hone::train {

void PlateauOptions::validate(Validation& v) const {
  if (metric == PlateauMetric::kValidationLoss) {
    v.no_effect("every", "with metric validation_loss, judged at each evaluation");
  }
  if (threshold_mode == ThresholdMode::kRel && threshold >= 1) {
    v.problem("threshold", "must be below 1 with threshold_mode rel");
  }
}

void Plateau::judge(double value, KnobSetter& adjuster) {
  const bool relative = options_.threshold_mode == ThresholdMode::kRel;
  const double bar = relative ? best_ * (1 - options_.threshold) : best_ - options_.threshold;
  if (value < bar) {
    best_ = value;
    bad_ = 0;
  } else {
    ++bad_;
  }
  if (cooldown_left_ > 0) {
    --cooldown_left_;
    bad_ = 0;
  }
  if (bad_ <= options_.patience) return;
  const double scale = adjuster.get("lr_scale").get<double>();
  const double lower = std::max(scale * options_.factor, options_.min_scale);
  const std::string metric = enum_name(options_.metric);
  if (lower < scale) {
    adjuster.set("lr_scale", lower,
                 fmt::format("{} has not fallen {} {:g} under {:.6g} {} times in a row", metric,
                             relative ? "by a share of" : "by", options_.threshold, best_, bad_),
                 {metric});
  }
  cooldown_left_ = options_.cooldown;
  bad_ = 0;
}

void Plateau::after_step(int64_t step, const Signals& signals, KnobSetter& adjuster) {
  if (options_.metric != PlateauMetric::kLossMean || step % options_.every != 0) return;
  judge(detail::needed(signals, "loss_mean"), adjuster);
}

void Plateau::after_evaluation(int64_t step, const Signals& signals, KnobSetter& adjuster) {
  if (options_.metric != PlateauMetric::kValidationLoss) return;
  judge(detail::needed(signals, "validation_loss"), adjuster);
}

Json Plateau::state() const {
  return {{"best", std::isfinite(best_) ? Json(best_) : Json(nullptr)},
          {"bad", bad_},
          {"cooldown_left", cooldown_left_}};
}

void Plateau::restore(const Json& state) {
  best_ =
      detail::number_from_json(state.at("best")).value_or(std::numeric_limits<double>::infinity());
  bad_ = state.at("bad");
  cooldown_left_ = state.at("cooldown_left");
}

}  // namespace hone::train
