/// Stops trials that are worse than the best one on the same steps, by a rank test.
#pragma once
#include <cstdint>
#include <vector>

#include "hone/core/field.h"
#include "hone/tune/pruners/pruner.h"

namespace hone::tune {

/// Defaults are Optuna's.
struct WilcoxonOptions {
  double p_threshold = 0.1;
  int64_t n_startup_steps = 2;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("p_threshold", self.p_threshold, "Probability, by chance alone, below which a trial stops.",
      Range{0, 1});
    v("n_startup_steps", self.n_startup_steps, "Steps that both trials must have reported.",
      Range{0, 1e9});
  }
};

/// For objectives that are means over steps (folds, seeds, instances), in any order. Compares the
/// trial with the best complete one, step by step, by the one-sided signed-rank test; stops it if
/// chance would hardly make it so much worse and its mean is worse too. Trials with values that are
/// not finite are left alone.
/// Parity: Optuna's WilcoxonPruner (tests/interop/tune_pruners.py).
/// Source: Wilcoxon 1945; Pratt and Gibbons 1981 for zeros split between both signs.
class WilcoxonPruner : public Pruner {
 public:
  /// Throws: ConfigError for options out of range.
  explicit WilcoxonPruner(const WilcoxonOptions& options = {});
  bool prune(const StudyView& study, Trial& trial) override;

 private:
  const WilcoxonOptions options_;
};

/// Probability that symmetric differences rank as high above zero as these or higher; zeros count
/// half to either side. Chooses between exact and normal as SciPy 1.17's wilcoxon(alternative=
/// "greater", zero_method="zsplit") does: exact up to 50 differences, up to 13 where there are
/// zeros or ties.
double signed_rank_p(const std::vector<double>& differences);

}  // namespace hone::tune
