#include "hone/nn/lora.h"

namespace hone::nn {

void LoraOptions::validate(Validation& v) const {
  if (target_regex) v.no_effect("targets", "with a target_regex");
  for (const auto& [pattern, value] : rank_pattern) {
    if (value < 1) {
      v.problem("rank_pattern/" + pattern, "must be at least 1, got " + std::to_string(value));
    }
  }
  for (const auto& [pattern, value] : alpha_pattern) {
    if (!(value >= 0)) {
      v.problem("alpha_pattern/" + pattern, "must not be negative, got " + std::to_string(value));
    }
  }
}

}  // namespace hone::nn
