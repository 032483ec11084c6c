/// Moves dropout and weight decay with the gap between training and held-out loss.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hone/core/field.h"
#include "hone/train/controllers/controller.h"

namespace hone::train {

struct RegularisationOptions {
  bool enabled = false;
  double low_gap = 0.05;
  double high_gap = 0.3;
  double dropout_step = 0.05;
  double min_dropout = 0.1;
  double max_dropout = 0.3;
  double decay_factor = 2;
  double min_weight_decay = 0.01;
  double max_weight_decay = 0.3;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("enabled", self.enabled, "Whether it acts.");
    v("low_gap", self.low_gap, "Gap in nats under which both fall.", Range{-1e3, 1e3});
    v("high_gap", self.high_gap, "Gap in nats over which both rise; between the two nothing moves.",
      Range{-1e3, 1e3});
    v("dropout_step", self.dropout_step, "Change of dropout at an evaluation; 0 leaves it alone.",
      Range{0, 0.9});
    v("min_dropout", self.min_dropout, "Lowest dropout that it sets.", Range{0, 0.9});
    v("max_dropout", self.max_dropout, "Highest dropout that it sets.", Range{0, 0.9});
    v("decay_factor", self.decay_factor,
      "Factor on weight decay at an evaluation, or one over it; 1 leaves it alone.",
      Range{1, 1000});
    v("min_weight_decay", self.min_weight_decay, "Lowest weight decay that it sets.", Range{0, 1});
    v("max_weight_decay", self.max_weight_decay, "Highest weight decay that it sets.", Range{0, 1});
  }
  void validate(Validation& v) const;
};

/// At each evaluation, with gap = validation_loss - loss_mean:
///   gap > high_gap:  dropout += dropout_step,  weight_decay *= decay_factor
///   gap < low_gap:   dropout -= dropout_step,  weight_decay /= decay_factor
/// each within its bounds. A value beyond a bound moves only towards it, so that a run without
/// dropout gets none before it over-fits. Source: ours.
class Regularisation : public Controller {
 public:
  explicit Regularisation(const RegularisationOptions& options) : options_(options) {}
  std::string name() const override { return "regularisation"; }
  std::vector<std::string> owns() const override;
  void after_evaluation(int64_t step, const Signals& signals, KnobSetter& adjuster) override;

 private:
  const RegularisationOptions options_;
};

}  // namespace hone::train
