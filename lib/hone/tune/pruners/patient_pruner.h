/// Lets another pruner stop only trials that have not improved for a while.
#pragma once
#include <cstdint>
#include <memory>

#include "hone/core/field.h"
#include "hone/tune/pruners/pruner.h"

namespace hone::tune {

struct PatientOptions {
  int64_t patience = 3;
  double min_delta = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("patience", self.patience, "Reports in a row without improvement that a trial may have.",
      Range{0, 1e9});
    v("min_delta", self.min_delta, "Worsening against the best before that is still borne.",
      Range{0, 1e300});
  }
};

/// Asks the other pruner, or stops the trial at once if there is none, when the best of the last
/// `patience` + 1 values is worse than the best before them by more than min_delta. NaN is passed
/// over.
/// Parity: Optuna's PatientPruner (tests/interop/tune_pruners.py), which has no default patience.
class PatientPruner : public Pruner {
 public:
  /// `wrapped` may be null. Throws: ConfigError for options out of range.
  PatientPruner(std::unique_ptr<Pruner> wrapped, const PatientOptions& options);
  bool prune(const StudyView& study, Trial& trial) override;
  StudyView sampler_view(const StudyView& study, const Trial& trial) override;

 private:
  const std::unique_ptr<Pruner> wrapped_;
  const PatientOptions options_;
};

}  // namespace hone::tune
