/// Dynamic adjustment: hone-dynamic's path.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "hone/paths/domain.h"
#include "hone/paths/dynamic_config.h"
#include "hone/paths/run_context.h"

namespace hone::paths {

/// How a run treats what its controllers decide, and who may watch it.
struct DynamicMode {
  bool dry_run = false;               ///< decisions are written, nothing is changed
  std::optional<std::string> replay;  ///< decisions.jsonl of an earlier run, to repeat it
  std::optional<int64_t> serve;       ///< port of the live page; 0 takes any free one
};

/// Trains as run_domain does while the recipe's controllers watch signals and turn knobs. Writes
/// beside that run's files decisions.jsonl: a line for the run, then a line a decision.
/// Throws: as run_domain; ConfigError also where a replayed file is of another run.
RunReport run_dynamic(const DynamicConfig& config, const RunContext& context,
                      const DynamicMode& mode = {});

/// plan_domain of the run, and the controllers in the order in which they are asked.
DomainPlan plan_dynamic(const DynamicConfig& config);

}  // namespace hone::paths
