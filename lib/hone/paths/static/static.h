/// Static tuning: hone-static's path.
#pragma once
#include <cstdint>
#include <string>

#include "hone/paths/static/config.h"
#include "hone/run/context.h"

namespace hone::paths {

/// Searches the space: worker processes take trials from the study, train them and report, until
/// the budget is spent. Run again, it goes on with the study; the budget may have grown.
///
/// Writes into context.out: config.json, study.db (unless the study lives elsewhere), trials/<n>/
/// (a run folder each, without checkpoints), workers.log, best.json or, of several objectives,
/// pareto-<n>.json (recipes for hone-domain), trials.csv, trials.jsonl, report.json, report.html.
///
/// Forks: the process must have no threads of LibTorch's (none are started here). A worker that
/// dies loses its trial only, which is enqueued again; its place is taken by a new one. The exit
/// code is 0, signal_exit_code(), or that of the process of the final runs. Throws: ConfigError,
/// also where the study was begun with another recipe; IoError; Error.
run::Report run_static(const StaticConfig& config, const run::Context& context);

/// What the search would do, as text for people; trains a few steps to measure time, writes
/// nothing.
struct StaticPlan {
  bool feasible = true;  ///< whether any point of the space may run
  std::string text;
};
StaticPlan plan_static(const StaticConfig& recipe);

/// Writes every point of the space as a recipe of hone-domain, one a line. Continuous parameters
/// need a step. Returns how many. Throws: ConfigError naming those that have none.
int64_t write_grid(const StaticConfig& recipe, const std::string& path);

}  // namespace hone::paths
