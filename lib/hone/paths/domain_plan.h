/// What a run will need, said before it begins.
#pragma once
#include <cstdint>
#include <string>

#include "hone/paths/device.h"
#include "hone/paths/domain.h"

namespace hone::paths {

/// A run whose text has been read and whose weights have not.
struct ReadRun {
  const DomainConfig& config;
  const Json& base_config;            ///< of base_config()
  const text::TokenizerFolder& text;  ///< grown, if the vocabulary grows
  int64_t new_tokens = 0;             ///< entries that growth added
  const DomainData& data;
  const DevicePlan& device;
  PlanChanges changes;
};

/// Throws: Error for adapter targets that the model lacks.
DomainPlan predict_run(const ReadRun& run);

/// Throws: Error with the plan's text if it does not fit.
void require_fit(const DomainPlan& plan);

}  // namespace hone::paths
