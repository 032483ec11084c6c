/// What a search leaves: best recipes, final runs, report.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/paths/static/config.h"
#include "hone/run/cache.h"
#include "hone/tune/storage/storage.h"

namespace hone::paths {

/// "trial 7 complete: 134.2", or its kin for other endings, with the reason of a refusal or
/// failure, or with the trial that goes on with an interrupted one (`again`: tune::tried_again).
std::string trial_line(const tune::Trial& trial, const std::map<int64_t, int64_t>& again);

/// What is done, the best trial, the running ones and the time left (tune/report/live_table.h).
std::string search_table(const StaticConfig& config, const tune::StudyView& study, tune::Time now);

/// Writes the best recipes, trials.csv, trials.jsonl, report.json and report.html; returns the
/// report: {"path", "about", "study", "sampler", "trials": counts, "best": trial or null, "ties"?:
/// trials that tie with it, or that its standard error does not tell from it, "notes"?, "pareto"?,
/// "importance"?, "final"?}. Notes say where a recipe lacks what its trial had: a study that
/// another program began may hold parameters that are none of the recipe's.
Json write_static_report(const StaticConfig& config, const tune::Study& study,
                         const std::vector<tune::TrialPtr>& trials, const std::string& folder);

/// The best trial's recipe, as write_static_report left it in the folder; nullopt if the trial
/// makes no recipe.
std::optional<run::Config> read_best(const std::string& folder);

/// Runs `best` and the base by config.final.seeds seeds each, in turn, into final/; the results go
/// to final.json after each run, and runs that it has are not repeated. Returns 0 or
/// signal_exit_code().
int run_final_seeds(const StaticConfig& config, const run::Config& best, const std::string& folder,
                    run::Cache& cache);

/// Closing lines for a terminal.
std::string static_summary(const Json& report, const std::string& folder);

}  // namespace hone::paths
