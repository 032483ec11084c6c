/// Tree-structured Parzen estimators.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "hone/core/field.h"
#include "hone/tune/samplers/sampler.h"

namespace hone::tune {

struct TpeOptions {
  int64_t startup_trials = 10;
  int64_t candidates = 24;
  std::optional<bool> multivariate;
  bool group = false;
  bool constant_liar = true;
  double prior_weight = 1;
  double choice_prior_weight = 3;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("startup_trials", self.startup_trials,
      "Complete and pruned trials before which parameters are drawn at random.", Range{0, 1e6});
    v("candidates", self.candidates,
      "Draws from the good trials' density, of which the best stays.", Range{1, 1e6});
    v("multivariate", self.multivariate,
      "Whether parameters are drawn jointly; by default with one objective, not with several.");
    v("group", self.group,
      "Whether parameters that occur only together (conditional spaces) are drawn jointly.");
    v("constant_liar", self.constant_liar,
      "Whether running trials count as bad ones, which keeps parallel workers apart.");
    v("prior_weight", self.prior_weight, "Weight of the prior, in trials.", Range{0, 1e6});
    v("choice_prior_weight", self.choice_prior_weight,
      "The same for choices that are drawn jointly: more leaves a choice sooner; Optuna has 1.",
      Range{0, 1e6});
  }

  void validate(Validation& v) const;
};

/// Draws from the density of the best tenth of the trials (at most 25; with several objectives
/// uncapped, the best by domination and hypervolume) the candidate with the highest ratio to the
/// density of the others. Pruned trials rank behind complete ones by how far they came, those that
/// violate recorded constraints last.
///
/// Parity: with choice_prior_weight = 1, Optuna 5.0.0's TPESampler with the same options and seed,
///   given the same trials: the same values, reals to 1e-9, wherever no parameter has equal
///   observations; where some are equal, NumPy's sort decides which of them gets which width and
///   depends on the processor: Optuna must be made to sort stably (tests/interop/tune_samplers.py).
/// Cost: about 0.5 ms a suggestion at 1,000 trials of 8 parameters (scripts/bench/sampler_cost).
/// Throws: Error if `options` do not fit together.
/// Source: detail/parzen_estimator.h.
std::unique_ptr<Sampler> make_tpe_sampler(const TpeOptions& options, uint64_t seed);

}  // namespace hone::tune
