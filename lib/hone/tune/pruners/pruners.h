/// The pruner that a recipe names.
#pragma once
#include <memory>
#include <optional>
#include <utility>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/tune/pruners/hyperband_pruner.h"
#include "hone/tune/pruners/patient_pruner.h"
#include "hone/tune/pruners/percentile_pruner.h"
#include "hone/tune/pruners/successive_halving_pruner.h"
#include "hone/tune/pruners/threshold_pruner.h"
#include "hone/tune/pruners/wilcoxon_pruner.h"

namespace hone::tune {

enum class PrunerKind {
  kNone,
  kMedian,
  kPercentile,
  kSuccessiveHalving,
  kHyperband,
  kWilcoxon,
  kThreshold
};

}  // namespace hone::tune

template <>
struct hone::EnumNames<hone::tune::PrunerKind> {
  static constexpr std::pair<tune::PrunerKind, const char*> values[] = {
      {tune::PrunerKind::kNone, "none"},
      {tune::PrunerKind::kMedian, "median"},
      {tune::PrunerKind::kPercentile, "percentile"},
      {tune::PrunerKind::kSuccessiveHalving, "successive_halving"},
      {tune::PrunerKind::kHyperband, "hyperband"},
      {tune::PrunerKind::kWilcoxon, "wilcoxon"},
      {tune::PrunerKind::kThreshold, "threshold"}};
};

namespace hone::tune {

/// The kind, and the options of each kind under its own name.
struct PrunerOptions {
  PrunerKind kind = PrunerKind::kMedian;
  MedianOptions median;
  PercentileOptions percentile;
  SuccessiveHalvingOptions successive_halving;
  HyperbandOptions hyperband;
  WilcoxonOptions wilcoxon;
  std::optional<ThresholdOptions> threshold;
  std::optional<PatientOptions> patient;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("kind", self.kind, "What stops trials that will not be good.");
    v("median", self.median, "Stops what is worse than the median at the same step.");
    v("percentile", self.percentile, "Stops what is worse than a percentile at the same step.");
    v("successive_halving", self.successive_halving,
      "Asynchronous successive halving (ASHA): only the best go on past each rung.");
    v("hyperband", self.hyperband, "Successive halvings of several patience side by side.");
    v("wilcoxon", self.wilcoxon,
      "Stops what is worse than the best trial by a rank test; for objectives that are means over "
      "steps.");
    v("threshold", self.threshold, "Stops what leaves given bounds.");
    v("patient", self.patient,
      "Lets the pruner stop only trials that have not improved for a while; with kind none it "
      "stops those at once.");
  }
  void validate(Validation& v) const;
};

/// Null where nothing is ever stopped. Throws: ConfigError for options out of range.
std::unique_ptr<Pruner> make_pruner(const PrunerOptions& options);

}  // namespace hone::tune
