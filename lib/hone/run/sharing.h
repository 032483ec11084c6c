/// Layers that come to share their query and key projections at the start of a run.
#pragma once
#include <string>

#include "hone/core/json.h"
#include "hone/model/config.h"
#include "hone/run/part.h"
#include "hone/run/sharing_options.h"

namespace hone::run {

constexpr const char* kSharingFile = "sharing.json";

/// The groups that a recipe's sharing makes of such a model; where pairs are still to be chosen, as
/// many as there will be. Throws: ConfigError for layers that the model has not, or more pairs than
/// it can; Error for one whose layers share already.
model::LayerGroups sharing_groups(const SharingOptions& options,
                                  const model::DecoderConfig& config);

/// The recipe's sharing as a part of the run. The run then trains the model as it is, from a
/// distillation's teacher too: that stays the model before.
class Sharing final : public Part {
 public:
  explicit Sharing(const SharingOptions& options) : options_(options) {}

  std::string name() const override { return "sharing"; }
  /// What it measures is in the run's folder (kSharingFile), where a run that goes on finds it.
  /// Throws: what model::share_weights throws.
  void open(ReadyRun& run) override;
  void report(const EndedRun& run, Json& report) override;

 private:
  /// The groups, measured where the recipe leaves them open.
  void choose(ReadyRun& run);
  /// Scores the held-out sets before any training.
  void measure_start(ReadyRun& run);

  const SharingOptions options_;
  Json report_;
};

}  // namespace hone::run
