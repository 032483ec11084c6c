/// What a search leaves: best recipes, final runs, report.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/paths/run_cache.h"
#include "hone/paths/static_config.h"
#include "hone/tune/storage.h"

namespace hone::paths {

/// "trial 7 complete: 134.2; best 130.1 by trial 3; 8 of 30, 2 running, 3m left", or its kin for the
/// other endings, `seconds` after the search began.
std::string trial_line(const tune::StudyView& study, const tune::Trial& trial, int64_t budget,
                       double seconds);

/// Writes the best recipes, trials.csv, trials.jsonl, report.json and report.html; returns the
/// report: {"path", "about", "study", "sampler", "trials": counts, "best": trial or null, "pareto"?,
/// "importance"?, "final"?}.
Json write_static_report(const StaticConfig& config, const tune::Study& study,
                         const std::vector<tune::TrialPtr>& trials, const std::string& folder);

/// The best trial's recipe, as write_static_report left it in the folder.
DomainConfig read_best(const std::string& folder);

/// Runs `best` and the base by config.final.seeds seeds each, in turn, into final/; the results go
/// to final.json after each run, and runs that it has are not repeated. Returns 0 or 128 + signal.
int run_final_seeds(const StaticConfig& config, const DomainConfig& best, const std::string& folder,
                    RunCache& cache);

/// Closing lines for a terminal.
std::string static_summary(const Json& report, const std::string& folder);

}  // namespace hone::paths
