// What --plan and --dump-data show of a search.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>

#include "hone/config/writer.h"
#include "hone/core/page.h"
#include "hone/paths/feasibility.h"
#include "hone/paths/static.h"
#include "hone/paths/static_worker.h"
#include "hone/paths/trial_config.h"
#include "hone/train/progress.h"
#include "hone/tune/random_sampler.h"
#include "hone/tune/samplers.h"

namespace hone::paths {
namespace {

constexpr int kSamples = 200;

/// Random points of the space and what is predicted of them.
struct Survey {
  int feasible = 0;
  double seconds = 0;  ///< summed over feasible points
  int64_t least_peak = INT64_MAX, most_peak = 0;
  std::map<std::string, int> refusals;  ///< by the kind of reason
  std::string example;
};

/// Reasons differ by their figures; the words before them are the kind.
std::string kind_of(const std::string& reason) {
  return reason.substr(0, reason.find_first_of("0123456789\n"));
}

Survey survey(const StaticConfig& config, const tune::Space& space, RunCache& cache,
              double seconds_per_flop) {
  const FeasibilityJudge judge(config.base, trial_limits(config.budget), cache, seconds_per_flop);
  tune::RandomSampler random(static_cast<uint64_t>(config.sampler.seed));
  const tune::StudyView study{"", directions(config), {}};
  Survey result;
  for (int i = 0; i < kSamples; ++i) {
    tune::Trial trial;
    const auto params = tune::suggest(space, random, study, trial);
    const tune::Feasibility point = judge.judge(params);
    if (!point.feasible()) {
      ++result.refusals[kind_of(point.reason)];
      result.example = point.reason;
      continue;
    }
    ++result.feasible;
    const int64_t peak = point.facts.at(kPredictedPeak).get<int64_t>();
    result.least_peak = std::min(result.least_peak, peak);
    result.most_peak = std::max(result.most_peak, peak);
    result.seconds += point.facts.at(kPredictedSeconds).get<double>();
  }
  return result;
}

}  // namespace

StaticPlan plan_static(const StaticConfig& recipe) {
  check_files(recipe);
  RunCache cache;
  StaticConfig config = recipe;
  resolve_presets(config, cache);
  const tune::Space space(config.space, "/space");
  const auto choice = sampler_choice(config, space);
  DomainConfig base = config.base;
  const int64_t workers = config.budget.workers;
  base.threads = worker_threads(config);
  const double seconds_per_flop = measure_seconds_per_flop(base, cache);
  const Survey points = survey(config, space, cache, seconds_per_flop);
  int64_t trials = config.budget.trials;
  if (choice.kind == tune::SamplerKind::kGrid) {
    trials = std::min<int64_t>(trials, tune::grid(space, "/space").size());
  }

  StaticPlan plan{.feasible = points.feasible > 0};
  plan.text = fmt::format("sampler {}: {}\n", enum_name(choice.kind), choice.reason);
  for (const std::string& name : space.names()) {
    plan.text += fmt::format("  {:<32} {}\n", name, tune::distribution_text(space.distribution(name)));
  }
  plan.text += fmt::format("feasible: {:.0f} % of {} random points\n",
                           100.0 * points.feasible / kSamples, kSamples);
  for (const auto& [reason, count] : points.refusals) {
    plan.text += fmt::format("  {:.0f} % refused: {}\n", 100.0 * count / kSamples, reason);
  }
  if (!points.example.empty()) plan.text += "  for example: " + points.example + "\n";
  if (points.feasible == 0) return plan;
  const int64_t have = forecast(config.base, cache).device_bytes;
  const double share = trial_limits(config.budget).memory_share;
  plan.text += fmt::format(
      "a worker may need {} of the {} that there are; feasible points need {} to {}\n",
      train::format_bytes(static_cast<int64_t>(share * static_cast<double>(have))),
      train::format_bytes(have), train::format_bytes(points.least_peak),
      train::format_bytes(points.most_peak));
  const double mean = points.seconds / points.feasible;
  plan.text += fmt::format(
      "{} trials of {} on average, {} at once: {} if none is pruned (steps measured on the base "
      "recipe and scaled by their operations)\n",
      trials, format_duration(mean), workers,
      format_duration(mean * static_cast<double>(trials) / static_cast<double>(workers)));
  return plan;
}

int64_t write_grid(const StaticConfig& recipe, const std::string& path) {
  RunCache cache;
  StaticConfig config = recipe;
  resolve_presets(config, cache);
  const tune::Space space(config.space, "/space");
  std::ofstream file(path);
  if (!file) throw IoError(path, "cannot be written");
  int64_t count = 0;
  for (const std::vector<tune::Param>& params : tune::grid(space, "/space")) {
    std::optional<DomainConfig> recipe;
    try {
      recipe = trial_config(config.base, params);
    } catch (const ConfigError&) {
      continue;  // no valid recipe: heads that do not divide the width, and the like
    }
    file << config::to_json(*recipe).dump() << "\n";
    ++count;
  }
  if (!file.flush()) throw IoError(path, "could not be written whole");
  return count;
}

}  // namespace hone::paths
