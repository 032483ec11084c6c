/// Which units of a model go off when: a policy over plain numbers.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/nn/gate.h"

namespace hone::nn {

/// What decides which units go.
enum class PruneRule {
  kQuantile,  ///< the least important
  kMean,      ///< the least important, none of them above the mean
  kRandom     ///< any: what importance is measured against
};

/// Among which units importances are compared.
enum class PruneScope { kGlobal, kLayer };

/// All units begin on. From step `start` to `end`, at every `every`-th and at the last, a share
///   s(t) = target * (1 - (1 - (t - start) / (end - start))^3)
/// of them is off, with min_left or more on in each layer; with kMean at most that share.
/// Source: s(t) from Zhu & Gupta 2017, eq. 1, from 0; normalise after Michel et al. 2019 and
///   Molchanov et al. 2017.
struct PruneOptions {
  Importance importance = Importance::kOutputNorm;
  PruneRule rule = PruneRule::kQuantile;
  PruneScope scope = PruneScope::kGlobal;
  bool normalise = true;
  double target = 0.3;
  int64_t start = 10;
  int64_t end = 100;
  int64_t every = 10;
  int64_t recovery = 0;
  int64_t min_left = 1;
  bool whole_groups = false;
  int64_t seed = 1;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("importance", self.importance, "What a unit is worth.");
    v("rule", self.rule, "Which units go off.");
    v("scope", self.scope, "Compare units with all others, or within their layer.");
    v("normalise", self.normalise,
      "Divide a layer's importances by their L2 norm before layers are compared.");
    v("target", self.target, "Share of the units that is off at the end.", Range{0, 1});
    v("start", self.start, "Step at which units begin to go off.", Range{0, 1e12});
    v("end", self.end, "Step from which the target share is off.", Range{0, 1e12});
    v("every", self.every, "Steps between decisions; importances are means over them.",
      Range{1, 1e12});
    v("recovery", self.recovery,
      "Steps for which a unit stays off before a decision may bring it back.", Range{0, 1e12});
    v("min_left", self.min_left, "Least units left on in each layer.", Range{1, 1e9});
    v("whole_groups", self.whole_groups,
      "Query heads that share a key head go together; target and min_left then count groups.");
    v("seed", self.seed, "Of the rule random.");
  }

  void validate(Validation& v) const;
};

/// The units of one layer, as a decision finds and leaves them.
struct PruneUnits {
  std::vector<bool> on;            ///< [U]
  std::vector<double> importance;  ///< [U]; not read by the rule random
  std::vector<int64_t> groups;     ///< [U], of the query heads' key heads, ascending; empty: none
  /// [U], the step at which a unit went off; -1 while it is on, or where it went off by another
  /// hand, which counts as just now. Empty: all -1.
  std::vector<int64_t> off_since;
  int64_t cut = 0;  ///< units (or groups) cut for good, which count as off
};

/// s(step), a share of 1.
double pruned_share(const PruneOptions& options, int64_t step);

/// Whether units may go off or come back after optimiser step `step`, counted from 1.
bool prune_due(const PruneOptions& options, int64_t step);

/// Decides which units are on from `step` on: sets `on` and `off_since`.
///
/// A unit that has been off for fewer than `recovery` steps stays off; of the others the least
/// important go off, or stay off, until the share is reached. Of equals those that are off go
/// first, then those of lower layers and positions.
/// Throws: hone::Error for an importance that is not finite; c10::ValueError for vectors of other
///   lengths than `on`.
void prune(const PruneOptions& options, int64_t step, std::vector<PruneUnits>& layers);

/// For a start: throws hone::Error unless these layers can lose the target share, a unit or more.
void check_target(const PruneOptions& options, const std::vector<PruneUnits>& layers);

}  // namespace hone::nn

template <>
struct hone::EnumNames<hone::nn::PruneRule> {
  static constexpr std::pair<nn::PruneRule, const char*> values[] = {
      {nn::PruneRule::kQuantile, "quantile"},
      {nn::PruneRule::kMean, "mean"},
      {nn::PruneRule::kRandom, "random"}};
};

template <>
struct hone::EnumNames<hone::nn::PruneScope> {
  static constexpr std::pair<nn::PruneScope, const char*> values[] = {
      {nn::PruneScope::kGlobal, "global"}, {nn::PruneScope::kLayer, "layer"}};
};
