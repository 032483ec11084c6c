/// Lowers the learning rate when the loss falls no more.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/train/controllers/controller.h"

namespace hone::train {

enum class PlateauMetric { kValidationLoss, kLossMean };
enum class ThresholdMode { kRel, kAbs };

struct PlateauOptions {
  bool enabled = false;
  PlateauMetric metric = PlateauMetric::kValidationLoss;
  int64_t every = 10;
  double factor = 0.5;
  int64_t patience = 3;
  double threshold = 1e-3;
  ThresholdMode threshold_mode = ThresholdMode::kRel;
  int64_t cooldown = 0;
  double min_scale = 0.01;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("enabled", self.enabled, "Whether it acts.");
    v("metric", self.metric, "What must fall: validation_loss is judged at each evaluation.");
    v("every", self.every, "Steps between judgements of loss_mean.", Range{1, 1e9});
    v("factor", self.factor, "Factor on lr_scale when the metric has stopped falling.",
      Range{1e-6, 0.999999});
    v("patience", self.patience, "Judgements in a row without a fall that are let pass.",
      Range{0, 1e9});
    v("threshold", self.threshold, "Smallest fall that counts.", Range{0, 1e9});
    v("threshold_mode", self.threshold_mode,
      "rel: a share of the best value so far; abs: in the unit of the metric.");
    v("cooldown", self.cooldown, "Judgements after a cut that are not counted.", Range{0, 1e9});
    v("min_scale", self.min_scale, "Lowest lr_scale.", Range{0, 1});
  }
  void validate(Validation& v) const;
};

/// The rule of torch's ReduceLROnPlateau in mode min (tests/parity/plateau.py holds it to the same
/// decisions): a judgement is bad unless metric < best * (1 - threshold), or best - threshold; more
/// than `patience` bad ones in a row multiply lr_scale by `factor`.
class Plateau : public Controller {
 public:
  explicit Plateau(const PlateauOptions& options) : options_(options) {}
  std::string name() const override { return "plateau"; }
  void after_step(int64_t step, const Signals& signals, KnobSetter& adjuster) override;
  void after_evaluation(int64_t step, const Signals& signals, KnobSetter& adjuster) override;
  Json state() const override;
  void restore(const Json& state) override;

 private:
  void judge(double value, KnobSetter& adjuster);

  const PlateauOptions options_;
  double best_ = std::numeric_limits<double>::infinity();
  int64_t bad_ = 0;
  int64_t cooldown_left_ = 0;
};

}  // namespace hone::train

template <>
struct hone::EnumNames<hone::train::PlateauMetric> {
  static constexpr std::pair<train::PlateauMetric, const char*> values[] = {
      {train::PlateauMetric::kValidationLoss, "validation_loss"},
      {train::PlateauMetric::kLossMean, "loss_mean"}};
};
template <>
struct hone::EnumNames<hone::train::ThresholdMode> {
  static constexpr std::pair<train::ThresholdMode, const char*> values[] = {
      {train::ThresholdMode::kRel, "rel"}, {train::ThresholdMode::kAbs, "abs"}};
};
