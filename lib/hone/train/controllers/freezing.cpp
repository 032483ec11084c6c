#include "hone/train/controllers/freezing.h"

#include <fmt/format.h>

#include "hone/train/detail/state.h"

namespace hone::train {
namespace {

std::string ratio_of(int64_t layer) { return "update_ratio/" + std::to_string(layer); }

}  // namespace

void FreezingOptions::validate(Validation& v) const {
  if (mode == FreezingMode::kUpdateRatio) {
    v.no_effect("every", "with mode update_ratio");
  } else {
    for (const char* key : {"threshold", "patience"}) {
      v.no_effect(key, "with mode gradual_unfreezing");
    }
  }
}

void Freezing::check_layers() const {
  if (std::ssize(layers_) > options_.min_trainable) return;
  throw Error(fmt::format("min_trainable must be below the model's {} layers, got {}",
                          layers_.size(), options_.min_trainable));
}

void Freezing::at_start(KnobSetter& adjuster) {
  check_layers();
  if (options_.mode == FreezingMode::kUpdateRatio) return;
  frozen_.insert(layers_.begin(), layers_.end() - options_.min_trainable);
  adjuster.set(
      "frozen_layers", frozen_,
      fmt::format("the last {} of {} layers begin", options_.min_trainable, layers_.size()));
}

void Freezing::unfreeze(int64_t step, KnobSetter& adjuster) {
  if (frozen_.empty() || step % options_.every != 0) return;
  const int64_t next = *frozen_.rbegin();
  frozen_.erase(next);
  adjuster.set("frozen_layers", frozen_, fmt::format("layer {} joins after {} steps", next, step));
}

void Freezing::freeze_settled(int64_t step, const Signals& signals, KnobSetter& adjuster) {
  for (const int64_t layer : layers_) {
    if (frozen_.contains(layer) || !signals.fresh().contains(ratio_of(layer))) continue;
    if (!(*signals.find(ratio_of(layer)) < options_.threshold)) {
      under_since_.erase(layer);
      continue;
    }
    const int64_t since = under_since_.try_emplace(layer, step).first->second;
    const int64_t trainable = std::ssize(layers_) - std::ssize(frozen_);
    if (step - since < options_.patience || trainable <= options_.min_trainable) continue;
    frozen_.insert(layer);
    under_since_.erase(layer);
    adjuster.set("frozen_layers", frozen_,
                 fmt::format("{} stayed under {:g} for {} steps", ratio_of(layer),
                             options_.threshold, step - since),
                 {ratio_of(layer)});
  }
}

void Freezing::after_step(int64_t step, const Signals& signals, KnobSetter& adjuster) {
  options_.mode == FreezingMode::kUpdateRatio ? freeze_settled(step, signals, adjuster)
                                              : unfreeze(step, adjuster);
}

Json Freezing::state() const {
  Json since = Json::array();
  for (const auto& [layer, step] : under_since_) since.push_back({layer, step});
  return {{"frozen", frozen_}, {"under_since", since}};
}

void Freezing::restore(const Json& state) {
  frozen_ = state.at("frozen").get<std::set<int64_t>>();
  under_since_.clear();
  for (const Json& pair : state.at("under_since")) under_since_[pair.at(0)] = pair.at(1);
}

}  // namespace hone::train
