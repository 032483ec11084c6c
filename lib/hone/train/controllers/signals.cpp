#include "hone/train/controllers/signals.h"

#include <algorithm>

namespace hone::train {

std::optional<double> Signals::find(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

const std::vector<SignalInfo>& all_signals() {
  static const std::vector<SignalInfo> list = {
      {"loss", "weighted mean nll of the step's targets, in nats"},
      {"loss_mean", "the loss, smoothed"},
      {"loss_slope", "change of the loss a step, over the last steps"},
      {"grad_norm", "global norm of the gradient before clipping"},
      {"noise_scale", "batch size in tokens at which the gradient's noise equals the gradient"},
      {"lr", "learning rate of the step"},
      {"tokens", "positions processed in the step"},
      {"step_seconds", "time of the step"},
      {"tokens_per_second", "positions a second of the step"},
      {"memory_headroom", "bytes that the process may still take"},
      {"update_ratio/<layer>", "norm of the last update over the norm of the layer's weights"},
      {"activation_rms/<layer>", "root mean square of the layer's output"},
      {"heads_alive/<layer>", "attention heads of the layer that are on"},
      {"expert_load/<layer>", "choices of the layer's most used expert over the mean"},
      {"experts_alive/<layer>", "experts of the layer that any token of the step took"},
      {"losses/<name>", "loss of the step that trains beside its own: multi_token or indexer"},
      {"train/<domain>", "nll a target of the domain's training text, smoothed"},
      {"validation/<domain>", "held-out perplexity of the domain"},
      {"validation_loss", "mean nll of all held-out targets"},
      {"train_validation_gap", "validation_loss - loss_mean"},
  };
  return list;
}

bool is_signal(std::string_view name) {
  return std::any_of(all_signals().begin(), all_signals().end(), [&](const SignalInfo& signal) {
    const std::string_view known = signal.name;
    const size_t family = known.find('<');
    if (family == std::string_view::npos) return name == known;
    return name.size() > family && name.starts_with(known.substr(0, family));
  });
}

}  // namespace hone::train
