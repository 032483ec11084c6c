#include "hone/nn/lora.h"

namespace hone::nn {

void LoraOptions::validate(Validation& v) const {
  if (target_regex) v.no_effect("targets", "with a target_regex");
  if (!target_parameters.empty() && dora) {
    v.problem("dora", "is not there for experts (target_parameters), nor is it in PEFT");
  }
  if (!target_parameters.empty() && dropout > 0) {
    v.problem("dropout", "must be 0 with target_parameters, as in PEFT");
  }
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
