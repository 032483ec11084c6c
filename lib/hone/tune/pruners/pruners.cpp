#include "hone/tune/pruners/pruners.h"

#include <string>

#include "hone/core/error.h"

namespace hone::tune {
namespace {

std::unique_ptr<Pruner> make_kind(const PrunerOptions& options) {
  switch (options.kind) {
    case PrunerKind::kNone:
      break;
    case PrunerKind::kMedian:
      return std::make_unique<MedianPruner>(options.median);
    case PrunerKind::kPercentile:
      return std::make_unique<PercentilePruner>(options.percentile);
    case PrunerKind::kSuccessiveHalving:
      return std::make_unique<SuccessiveHalvingPruner>(options.successive_halving);
    case PrunerKind::kHyperband:
      return std::make_unique<HyperbandPruner>(options.hyperband);
    case PrunerKind::kWilcoxon:
      return std::make_unique<WilcoxonPruner>(options.wilcoxon);
    case PrunerKind::kThreshold:
      return std::make_unique<ThresholdPruner>(options.threshold.value_or(ThresholdOptions{}));
  }
  return nullptr;
}

}  // namespace

void PrunerOptions::validate(Validation& v) const {
  for (const auto& [other, name] : EnumNames<PrunerKind>::values) {
    if (other != kind) v.no_effect(name, "with kind " + enum_name(kind));
  }
  if (kind == PrunerKind::kThreshold && !threshold) {
    v.problem("threshold", "kind threshold needs its bounds");
  }
}

std::unique_ptr<Pruner> make_pruner(const PrunerOptions& options) {
  std::unique_ptr<Pruner> pruner = make_kind(options);
  if (!options.patient) return pruner;
  return std::make_unique<PatientPruner>(std::move(pruner), *options.patient);
}

}  // namespace hone::tune
