/// The knobs of a decoder in training, beside the loop's.
#pragma once
#include "hone/core/json.h"
#include "hone/run/part.h"
#include "hone/train/controllers/knobs.h"

namespace hone::run {

/// Adds dropout, domain_weights, mix_weights, frozen_layers, augmentation_rate, neftune_alpha
/// and checkpoint_every to a run's knobs, and remembers what they were set to, for checkpoints.
class ModelKnobs {
 public:
  ModelKnobs(ReadyRun& run, optim::Optimizer& optimizer, train::Knobs& knobs);
  ModelKnobs(const ModelKnobs&) = delete;

  /// Their values, but for what the loader's state holds; and back.
  Json state() const;
  void restore(const Json& state) const;

 private:
  bool lora() const;
  /// Text of a domain that began with weight 0 is drawn once its weight is above 0.
  void draw_weighted_domains();
  void set_dropout(const Json& value);
  /// The frozen layers that no cut has taken away.
  Json frozen() const;
  void set_frozen(const Json& value);

  ReadyRun& run_;
  optim::Optimizer& optimizer_;
  train::Knobs& knobs_;
  double dropout_;
  Json frozen_ = Json::array();
};

}  // namespace hone::run
