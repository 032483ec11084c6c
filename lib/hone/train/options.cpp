#include "hone/train/options.h"

namespace hone::train {

void TrainOptions::validate(Validation& v) const {
  if (epochs) v.no_effect("steps", "with epochs, which decide them");
  if (only_evaluates()) {
    for (const char* key :
         {"accumulation", "lr", "min_lr_ratio", "decay", "warmup_ratio", "restarts", "one_cycle",
          "wsd", "weight_decay", "beta1", "beta2", "eps", "clip_norm", "log_every", "eval_every",
          "save_every", "keep_checkpoints", "max_nonfinite"}) {
      v.no_effect(key, "with steps 0, which only evaluates");
    }
    return;
  }
  const std::string with = "with decay " + enum_name(decay);
  if (decay == Decay::kConstant || decay == Decay::kOneCycle) v.no_effect("min_lr_ratio", with);
  if (decay == Decay::kOneCycle) v.no_effect("warmup_ratio", with);
  if (decay != Decay::kCosineRestarts) v.no_effect("restarts", with);
  if (decay != Decay::kOneCycle) v.no_effect("one_cycle", with);
  if (decay != Decay::kWsd) v.no_effect("wsd", with);
  if (decay == Decay::kWsd && warmup_ratio + wsd.decay_share > 1) {
    v.problem("wsd/decay_share",
              "must leave room for the warm-up: warmup_ratio and it add to more than 1");
  }
}

}  // namespace hone::train
