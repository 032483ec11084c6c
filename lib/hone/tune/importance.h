/// Which parameters decide whether a trial is good.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "hone/tune/trial.h"

namespace hone::tune {

/// Defaults are Optuna's.
struct ImportanceOptions {
  double target_quantile = 0.1;   ///< share of the complete trials that counts as good
  double region_quantile = 1;     ///< share that these are compared with
  bool evaluate_on_local = true;  ///< compare with how trials were drawn; else with even draws
  bool normalize = true;          ///< so that importances sum to 1
};

/// PED-ANOVA: how far a parameter's distribution among the good trials is from that among all, as
/// the Pearson divergence of two kernel estimates on a grid of at most 50 cells.
///
///   importance = sum over regimes of
///     quantile^2 * P_good(regime)^2 / P_all(regime) * sum_cell p_all (p_good / p_all - 1)^2
///
/// A regime is one distribution of the parameter, or its absence (conditional spaces, ranges that
/// changed). Trials of several objectives are good by domination rank and hypervolume. The most
/// important come first, equals by name; all are 0 (1/n where normalised) while there are fewer
/// than two complete trials with finite values.
/// Throws: Error unless 0 < target_quantile < region_quantile <= 1.
/// Parity: Optuna 5.0's PedAnovaImportanceEvaluator to 1e-9 (tests/interop/tune_importance.py).
/// Source: Watanabe, Bansal, Hutter 2023, "PED-ANOVA".
std::vector<std::pair<std::string, double>> importances(const StudyView& study,
                                                        const ImportanceOptions& options = {});

}  // namespace hone::tune
