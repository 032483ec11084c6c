#include "hone/train/controllers/batch_growth.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "hone/train/detail/state.h"

namespace hone::train {
namespace {

constexpr double kMib = 1 << 20;

double rate_factor(RateRule rule, double ratio) {
  if (rule == RateRule::kNone) return 1;
  return rule == RateRule::kSqrt ? std::sqrt(ratio) : ratio;
}

}  // namespace

std::vector<std::string> BatchGrowth::owns() const {
  if (options_.min_headroom_mib > 0) return {"accumulation", "checkpoint_every"};
  return {"accumulation"};
}

void BatchGrowth::at_start(KnobSetter& adjuster) {
  if (adjuster.get("accumulation").get<int64_t>() >= 2) return;
  throw Error(
      "the noise scale is measured between a batch and the step that it is part of: set "
      "train.accumulation to at least 2 and data.tokens_per_batch to so much less");
}

void BatchGrowth::spare_memory(const Signals& signals, KnobSetter& adjuster) const {
  if (options_.min_headroom_mib <= 0) return;
  const auto headroom = signals.find("memory_headroom");
  if (!headroom || *headroom >= options_.min_headroom_mib * kMib) return;
  adjuster.set("checkpoint_every", 1,
               fmt::format("{:.0f} MiB are free, fewer than {:g}", *headroom / kMib,
                           options_.min_headroom_mib),
               {"memory_headroom"});
}

void BatchGrowth::after_step(int64_t step, const Signals& signals, KnobSetter& adjuster) {
  spare_memory(signals, adjuster);
  const auto noise = signals.find("noise_scale");
  if (!noise || step - changed_ < options_.every) return;
  const double tokens = detail::needed(signals, "tokens");
  if (2 * tokens > options_.share * *noise) return;
  const auto now = adjuster.get("accumulation").get<int64_t>();
  const int64_t larger = std::min(2 * now, options_.max_accumulation);
  if (larger <= now) return;
  const std::vector<std::string> signal_names = {"noise_scale", "tokens"};
  const std::string rule =
      fmt::format("twice the step's {:.0f} tokens are at most {:g} of the noise scale {:.4g}",
                  tokens, options_.share, *noise);
  adjuster.set("accumulation", larger, rule, signal_names);
  const double ratio = static_cast<double>(larger) / static_cast<double>(now);
  const double factor = rate_factor(options_.lr_rule, ratio);
  adjuster.set(
      "lr_scale", adjuster.get("lr_scale").get<double>() * factor,
      fmt::format("{}; the rate follows the {} rule: times {:.4g} for a batch {:g} times as "
                  "large",
                  rule, enum_name(options_.lr_rule), factor, ratio),
      signal_names);
  changed_ = step;
}

}  // namespace hone::train
