/// Ends a run whose held-out loss falls no more.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "hone/core/field.h"
#include "hone/train/controllers/controller.h"

namespace hone::train {

struct EarlyStoppingOptions {
  bool enabled = false;
  std::string metric = "validation_loss";
  int64_t patience = 5;
  double min_gain = 0;
  bool restore_best = true;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("enabled", self.enabled, "Whether it acts.");
    v("metric", self.metric,
      "What must fall: validation_loss, or the perplexity validation/<domain>.");
    v("patience", self.patience, "Evaluations in a row without a gain that end the run.",
      Range{1, 1e9});
    v("min_gain", self.min_gain, "Smallest gain that counts, as a share of the best value.",
      Range{0, 1});
    v("restore_best", self.restore_best,
      "Keep the weights of the best evaluation and go back to them when the run ends.");
  }
  void validate(Validation& v) const;
};

/// An evaluation gains if metric < best * (1 - min_gain). After `patience` evaluations without one
/// the run stops. However it ended, by this or at its last step, restore_best gives it the weights
/// of the best unless the last evaluation was as good.
class EarlyStopping : public Controller {
 public:
  explicit EarlyStopping(const EarlyStoppingOptions& options) : options_(options) {}
  std::string name() const override { return "early_stopping"; }
  void begin(int64_t first_step) override { first_step_ = first_step; }
  /// A step after it stopped the run: the run became longer, and it begins to count anew.
  void after_step(int64_t step, const Signals& signals, KnobSetter& adjuster) override;
  void after_evaluation(int64_t step, const Signals& signals, KnobSetter& adjuster) override;
  void at_end(int64_t step, KnobSetter& adjuster) override;
  void snapshot_lost(const std::string& name) override;
  Json state() const override;
  void restore(const Json& state) override;

 private:
  /// Whether the best weights are others than those of the last evaluation, and better.
  bool best_is_past() const;
  std::string best_text() const;

  const EarlyStoppingOptions options_;
  std::optional<double> best_;
  std::optional<double> last_;  ///< of the last evaluation, if it was a number
  int64_t best_step_ = 0;
  int64_t first_step_ = 0;  ///< of the phase, in the run's count
  int64_t bad_ = 0;
  bool stopped_ = false;  ///< it has stopped the run: nothing is left to decide
};

}  // namespace hone::train
