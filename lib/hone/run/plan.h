/// What a run will need, said before it begins.
#pragma once
#include <cstdint>
#include <string>

#include "hone/machine/device.h"
#include "hone/run/compute.h"
#include "hone/run/run.h"

namespace hone::run {

/// A run whose text has been read and whose weights have not.
struct ReadRun {
  const Config& config;
  const Json& base_config;            ///< of base_config()
  const text::TokenizerFolder& text;  ///< grown, if the vocabulary grows
  int64_t new_tokens = 0;             ///< entries that growth added
  const Data& data;
  const machine::DevicePlan& device;
  const ComputeChoice& compute;
  PlanChanges changes;
};

/// Throws: Error for adapter targets that the model lacks.
Plan predict_run(const ReadRun& run);

/// Throws: Error with the plan's text if it does not fit.
void require_fit(const Plan& plan);

}  // namespace hone::run
