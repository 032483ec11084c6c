#include "hone/train/controllers/regularisation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "hone/train/detail/state.h"

namespace hone::train {
namespace {

constexpr const char* kGap = "train_validation_gap";

/// `to` within the bounds, unless that would take `now` the other way.
double moved(double now, double to, double low, double high) {
  const double bounded = std::clamp(to, low, high);
  return (to > now) == (bounded > now) ? bounded : now;
}

}  // namespace

void RegularisationOptions::validate(Validation& v) const {
  if (low_gap > high_gap) {
    v.problem("low_gap", fmt::format("must be at most high_gap = {}, got {}", high_gap, low_gap));
  }
  if (dropout_step == 0) {
    for (const char* key : {"min_dropout", "max_dropout"}) v.no_effect(key, "with dropout_step 0");
  } else if (min_dropout > max_dropout) {
    v.problem("min_dropout",
              fmt::format("must be at most max_dropout = {}, got {}", max_dropout, min_dropout));
  }
  if (decay_factor == 1) {
    for (const char* key : {"min_weight_decay", "max_weight_decay"}) {
      v.no_effect(key, "with decay_factor 1");
    }
  } else if (min_weight_decay > max_weight_decay) {
    v.problem("min_weight_decay", fmt::format("must be at most max_weight_decay = {}, got {}",
                                              max_weight_decay, min_weight_decay));
  }
}

std::vector<std::string> Regularisation::owns() const {
  std::vector<std::string> knobs;
  if (options_.dropout_step > 0) knobs.emplace_back("dropout");
  if (options_.decay_factor > 1) knobs.emplace_back("weight_decay");
  return knobs;
}

void Regularisation::after_evaluation(int64_t step, const Signals& signals, KnobSetter& adjuster) {
  if (!signals.find("loss") && !signals.find(kGap)) return;  // nothing has been trained
  const double gap = detail::needed(signals, kGap);
  const int direction = gap > options_.high_gap ? 1 : gap < options_.low_gap ? -1 : 0;
  if (direction == 0) return;
  const std::string rule = direction > 0
                               ? fmt::format("the gap {:.4g} is over {:g}", gap, options_.high_gap)
                               : fmt::format("the gap {:.4g} is under {:g}", gap, options_.low_gap);
  if (options_.dropout_step > 0) {
    const auto now = adjuster.get("dropout").get<double>();
    adjuster.set("dropout",
                 moved(now, now + direction * options_.dropout_step, options_.min_dropout,
                       options_.max_dropout),
                 rule, {kGap});
  }
  if (options_.decay_factor > 1) {
    const auto now = adjuster.get("weight_decay").get<double>();
    // From nothing a factor leads nowhere; the lower bound is where a rise begins.
    const double from = now > 0 || direction < 0 ? now : options_.min_weight_decay;
    adjuster.set("weight_decay",
                 moved(now, from * std::pow(options_.decay_factor, direction),
                       options_.min_weight_decay, options_.max_weight_decay),
                 rule, {kGap});
  }
}

}  // namespace hone::train
