/// Layers that come to share their query and key projections at the start of a run.
#pragma once
#include <cstdint>
#include <string>

#include "hone/core/json.h"
#include "hone/model/config.h"
#include "hone/run/part.h"
#include "hone/run/sharing_options.h"

namespace hone::run {

/// The groups that a recipe's sharing makes of such a model.
/// Throws: ConfigError for layers that the model has not; Error for one whose layers share already.
model::LayerGroups sharing_groups(const SharingOptions& options,
                                  const model::DecoderConfig& config);

/// The recipe's sharing as a part of the run. The run then trains the model as it is, from a
/// distillation's teacher too: that stays the model before.
class Sharing final : public Part {
 public:
  explicit Sharing(const SharingOptions& options) : options_(options) {}

  std::string name() const override { return "sharing"; }
  /// Throws: what model::share_weights throws.
  void open(ReadyRun& run) override;
  void report(const EndedRun& run, Json& report) override;

 private:
  const SharingOptions options_;
  int64_t parameters_ = 0, saved_ = 0;
};

}  // namespace hone::run
