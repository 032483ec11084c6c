#include "hone/train/options.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace hone::train {

void TrainOptions::validate(Validation& v) const {
  if (decay == Decay::kConstant) v.no_effect("min_lr_ratio", "with decay constant");
  if (steps == 0) {
    for (const char* key : {"accumulation", "lr", "min_lr_ratio", "decay", "warmup_ratio",
                            "weight_decay", "beta1", "beta2", "eps", "clip_norm", "log_every",
                            "eval_every", "save_every", "keep_checkpoints", "max_nonfinite"}) {
      v.no_effect(key, "with steps 0, which only evaluates");
    }
  }
}

double learning_rate(const TrainOptions& options, int64_t step) {
  const auto warmup =
      static_cast<int64_t>(std::llround(options.warmup_ratio * static_cast<double>(options.steps)));
  if (step < warmup)
    return options.lr * static_cast<double>(step + 1) / static_cast<double>(warmup);
  const double done = static_cast<double>(step - warmup) /
                      static_cast<double>(std::max<int64_t>(1, options.steps - warmup));
  const double floor = options.min_lr_ratio;
  switch (options.decay) {
    case Decay::kCosine:
      return options.lr * (floor + (1 - floor) * 0.5 * (1 + std::cos(std::numbers::pi * done)));
    case Decay::kLinear:
      return options.lr * (floor + (1 - floor) * (1 - done));
    case Decay::kConstant:
      break;
  }
  return options.lr;
}

}  // namespace hone::train
