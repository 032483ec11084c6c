/// Stops training layers that have settled, or lets them train one after the other.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/train/controllers/controller.h"

namespace hone::train {

enum class FreezingMode { kUpdateRatio, kGradualUnfreezing };

struct FreezingOptions {
  bool enabled = false;
  FreezingMode mode = FreezingMode::kUpdateRatio;
  double threshold = 1e-5;
  int64_t patience = 50;
  int64_t min_trainable = 1;
  int64_t every = 100;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("enabled", self.enabled, "Whether it acts.");
    v("mode", self.mode,
      "update_ratio freezes layers that have settled; gradual_unfreezing begins with the last "
      "layer alone and adds the next lower one every so many steps.");
    v("threshold", self.threshold, "Ratio of update to weights under which a layer has settled.",
      Range{0, 1});
    v("patience", self.patience, "Steps for which the ratio must stay under it.", Range{1, 1e9});
    v("min_trainable", self.min_trainable, "Layers that always train.", Range{1, 1e6});
    v("every", self.every, "Steps between two layers of gradual_unfreezing.", Range{1, 1e9});
  }
  void validate(Validation& v) const;
};

/// Acts on frozen_layers. update_ratio: a layer whose update_ratio/<layer> was under `threshold` at
/// each measurement of `patience` steps trains no more; layers are not thawed. gradual_unfreezing:
/// Howard and Ruder 2018 (ULMFiT), section 3.3, by steps instead of epochs. Embeddings, the last
/// norm and the head are no layers and always train.
class Freezing : public Controller {
 public:
  /// `layers`: the numbers of the model's layers, ascending (model::layer_numbers).
  Freezing(const FreezingOptions& options, std::vector<int64_t> layers)
      : options_(options), layers_(std::move(layers)) {}
  std::string name() const override { return "freezing"; }
  std::vector<std::string> owns() const override { return {"frozen_layers"}; }
  /// Throws: hone::Error if the model has no more than min_trainable layers.
  void check_layers() const;
  /// Throws: as check_layers().
  void at_start(KnobSetter& adjuster) override;
  void after_step(int64_t step, const Signals& signals, KnobSetter& adjuster) override;
  Json state() const override;
  void restore(const Json& state) override;

 private:
  void unfreeze(int64_t step, KnobSetter& adjuster);
  void freeze_settled(int64_t step, const Signals& signals, KnobSetter& adjuster);

  const FreezingOptions options_;
  const std::vector<int64_t> layers_;
  std::set<int64_t> frozen_;
  std::map<int64_t, int64_t> under_since_;  ///< by layer, the step from which its ratio is under
};

}  // namespace hone::train

template <>
struct hone::EnumNames<hone::train::FreezingMode> {
  static constexpr std::pair<train::FreezingMode, const char*> values[] = {
      {train::FreezingMode::kUpdateRatio, "update_ratio"},
      {train::FreezingMode::kGradualUnfreezing, "gradual_unfreezing"}};
};
