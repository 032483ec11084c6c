#include "hone/paths/static/config.h"

#include <algorithm>
#include <filesystem>

#include "hone/core/error.h"
#include "hone/paths/static/trial_config.h"
#include "hone/run/data.h"
#include "hone/run/held_out.h"

namespace hone::paths {
namespace {

/// Domains that objectives name must be held out, and there must be something to score.
void check_objectives(const StaticConfig& config, Validation& v) {
  std::vector<std::string> known;
  for (const auto& set : config.base.data.held_out_sets()) known.push_back(set.domain);
  for (size_t i = 0; i < config.objectives.size(); ++i) {
    const eval::ObjectiveOptions& objective = config.objectives[i];
    const std::string at = "objectives/" + std::to_string(i);
    const bool scores =
        objective.metric == eval::Metric::kPerplexity || objective.metric == eval::Metric::kLoss;
    if (scores && known.empty()) {
      v.problem(at + "/metric", "needs a data set in base.data.held_out");
    }
    for (size_t j = 0; j < objective.domains.size(); ++j) {
      const std::string& name = objective.domains[j];
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      v.problem(at + "/domains/" + std::to_string(j),
                "no data set in base.data.held_out has the domain \"" + name + "\"" +
                    did_you_mean(name, known));
    }
  }
}

bool scored_on_the_way(const StaticConfig& config) {
  return !config.objectives.empty() && (config.objectives[0].metric == eval::Metric::kPerplexity ||
                                        config.objectives[0].metric == eval::Metric::kLoss);
}

}  // namespace

void StudyOptions::validate(Validation& v) const {
  if (grace_seconds < 2 * heartbeat_seconds) {
    v.problem("grace_seconds", "must be at least twice heartbeat_seconds");
  }
  if (name.empty()) v.problem("name", "must not be empty");
}

void FinalOptions::validate(Validation& v) const {
  if (seeds == 0) v.no_effect("held_out", "with seeds 0");
}

void StaticConfig::validate(Validation& v) const {
  if (space.empty() && presets.empty()) v.problem("space", "must hold at least one parameter");
  const bool adapter = std::find(presets.begin(), presets.end(), Preset::kAdapter) != presets.end();
  if (adapter && base.tuning != run::Tuning::kLora) {
    v.problem("presets", "adapter needs base.tuning lora");
  }
  if (base.train.only_evaluates()) v.problem("base/train/steps", "must be above 0: a trial trains");
  if (objectives.empty()) v.problem("objectives", "must hold at least one objective");
  check_objectives(*this, v);
  const bool pruned = pruner.kind != tune::PrunerKind::kNone || pruner.patient;
  if (pruned && v.is_set("pruner") && !sees_trials(*this)) {
    v.problem("pruner",
              scored_on_the_way(*this)
                  ? "needs base.train.eval_every above 0 to see trials on their way"
                  : "needs perplexity or loss as the first objective to see trials on their way");
  }
  try {
    const tune::Space checked(space, "/space");
    tune::check_sampler(sampler, checked, objectives.size());
  } catch (const ConfigError& error) {
    for (const Problem& problem : error.problems())
      v.problem(problem.path.substr(1), problem.message);
    return;
  } catch (const Error&) {  // a parameter that is wrong by itself has been reported
    return;
  }
  for (const Problem& problem : check_space(base, space, "space")) {
    v.problem(problem.path, problem.message);
  }
}

void check_files(const StaticConfig& config) {
  std::vector<Problem> problems;
  const auto check = [&](const std::string& path, const std::string& file) {
    if (!std::filesystem::exists(file)) problems.push_back({path, "there is no file " + file});
  };
  try {
    run::check_files(config.base);
  } catch (const ConfigError& error) {
    for (const Problem& problem : error.problems()) {
      problems.push_back({"/base" + problem.path, problem.message});
    }
  }
  for (size_t i = 0; i < config.objectives.size(); ++i) {
    const auto& file = config.objectives[i].file;
    if (file) check("/objectives/" + std::to_string(i) + "/file", *file);
  }
  run::check_set_files("/final/held_out", config.final.held_out, problems);
  if (problems.empty()) {
    run::check_held_out(config.base.data.train, config.final.held_out, "final", problems);
    for (size_t i = 0; i < config.objectives.size(); ++i) {
      const auto& file = config.objectives[i].file;
      if (const auto problem =
              file ? run::trained_on(*file, config.base.data.train) : std::nullopt) {
        problems.push_back({"/objectives/" + std::to_string(i) + "/file", *problem});
      }
    }
  }
  if (!problems.empty()) throw ConfigError(std::move(problems));
}

bool sees_trials(const StaticConfig& config) {
  return scored_on_the_way(config) && config.base.train.eval_every > 0;
}

tune::RetryOptions retry_options(const StudyOptions& study) {
  return {study.grace_seconds, study.max_retries};
}

std::vector<tune::Direction> directions(const StaticConfig& config) {
  std::vector<tune::Direction> all;
  for (const eval::ObjectiveOptions& objective : config.objectives) {
    all.push_back(eval::direction_of(objective));
  }
  return all;
}

tune::SamplerChoice sampler_choice(const StaticConfig& config, const tune::Space& space) {
  return tune::choose_sampler(
      config.sampler, space,
      {config.budget.trials, config.objectives.size(),
       config.pruner.kind != tune::PrunerKind::kNone && sees_trials(config)});
}

}  // namespace hone::paths
