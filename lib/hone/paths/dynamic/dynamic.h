/// Dynamic adjustment: hone-dynamic's path.
#pragma once
#include <string>

#include "hone/paths/dynamic/config.h"
#include "hone/paths/dynamic/mode.h"
#include "hone/run/context.h"
#include "hone/run/run.h"

namespace hone::paths {

/// Trains as run::execute does while the recipe's controllers watch signals and turn knobs. Writes
/// beside that run's files decisions.jsonl: a line for the run, then a line a decision. A resumed
/// run keeps the mode that it was begun with (settle_mode).
/// Throws: as run::execute; ConfigError also where a replayed file is of another run.
run::Report run_dynamic(const DynamicConfig& config, const run::Context& context,
                        const DynamicMode& mode = {});

/// run::make_plan of the run, and the controllers in the order in which they are asked.
run::Plan plan_dynamic(const DynamicConfig& config, const std::string& out = "");

}  // namespace hone::paths
