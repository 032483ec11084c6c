// What --plan and --dump-data show of a search.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "hone/core/file.h"
#include "hone/eval/objective.h"
#include "hone/machine/hardware.h"
#include "hone/paths/static/feasibility.h"
#include "hone/paths/static/static.h"
#include "hone/paths/static/trial_config.h"
#include "hone/paths/static/worker.h"
#include "hone/run/config_json.h"
#include "hone/tune/samplers/random_sampler.h"
#include "hone/tune/samplers/samplers.h"
#include "hone/view/format.h"

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

Survey survey(const StaticConfig& config, const tune::Space& space, run::Cache& cache,
              double seconds_per_flop) {
  const FeasibilityJudge judge(config.base, trial_limits(config.budget), cache, seconds_per_flop);
  const auto random = tune::make_random_sampler(static_cast<uint64_t>(config.sampler.seed));
  const tune::StudyView study{"", directions(config), {}};
  Survey result;
  for (int i = 0; i < kSamples; ++i) {
    tune::Trial trial;
    const auto params = tune::suggest(space, *random, study, trial);
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

/// What an objective costs each trial beyond its training and its evaluations.
struct ObjectiveCost {
  std::string text;    ///< for people
  double seconds = 0;  ///< as far as it is known
};

/// Measures one row of each objective on a model, scaled to all of them.
class CostMeter {
 public:
  explicit CostMeter(const std::vector<eval::ObjectiveOptions>& objectives) {
    for (const eval::ObjectiveOptions& options : objectives) {
      eval::ObjectiveOptions first = options;
      first.max_rows = 1;
      all_.emplace_back(options);
      first_.emplace_back(std::move(first));
      seconds_.push_back(0);
    }
  }

  void measure(model::Decoder& decoder, const run::RunTokenizer& tokenizer) {
    for (size_t i = 0; i < first_.size(); ++i) {
      const auto begin = std::chrono::steady_clock::now();
      if (!first_[i].model_value({decoder, tokenizer.text})) continue;
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      seconds_[i] = took.count() * static_cast<double>(std::max<int64_t>(1, all_[i].rows()));
    }
  }

  ObjectiveCost cost(size_t i) const {
    const eval::ObjectiveOptions& options = all_[i].options();
    const std::string about = "about " + view::format_duration(seconds_[i]) + " a trial";
    const auto counted = [](int64_t n, const char* what) {
      return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
    };
    switch (options.metric) {
      case eval::Metric::kPerplexity:
      case eval::Metric::kLoss:
        return {"of the evaluations, whose time is a trial's own"};
      case eval::Metric::kStepTime:
        return {"of the training, at no cost"};
      case eval::Metric::kCommand:
        return {"its command is not run by a plan; what it takes comes on top"};
      case eval::Metric::kParameters:
      case eval::Metric::kLatency:
        return {about, seconds_[i]};
      case eval::Metric::kAccuracy:
        return {counted(all_[i].rows(), "question") + ", " + about, seconds_[i]};
      default:
        return {fmt::format("{} of up to {} tokens, {}", counted(all_[i].rows(), "text"),
                            options.generation.max_new_tokens, about),
                seconds_[i]};
    }
  }

 private:
  std::vector<eval::ObjectiveMeter> all_, first_;
  std::vector<double> seconds_;
};

/// The help of a struct's field of that name.
class HelpFinder {
 public:
  explicit HelpFinder(std::string name) : name_(std::move(name)) {}
  template <class T, class... Args>
  void operator()(const char* name, const T&, std::string_view help, const Args&...) {
    if (name == name_) found = help;
  }
  std::string found;

 private:
  const std::string name_;
};

std::string describe_pruner(const StaticConfig& config) {
  const tune::PrunerOptions& options = config.pruner;
  const std::string kind = enum_name(options.kind);
  if (options.kind == tune::PrunerKind::kNone && !options.patient) {
    return "pruner none: every trial runs to its end\n";
  }
  if (!sees_trials(config)) {
    return "pruner none: nothing is known of a trial before its end, as its first objective is "
           "neither perplexity nor loss, or base.train.eval_every is 0\n";
  }
  HelpFinder help(options.kind == tune::PrunerKind::kNone ? "patient" : kind);
  tune::PrunerOptions::visit(options, help);
  std::string text = fmt::format("pruner {}: {}", kind, help.found);
  if (options.patient && options.kind != tune::PrunerKind::kNone) {
    text += " Only where a trial has not improved for a while.";
  }
  return text + "\n";
}

std::string describe_space(const tune::SpaceOptions& options, const tune::Space& space) {
  std::string text;
  for (const std::string& name : space.names()) {
    text += fmt::format("  {:<32} {}", name, tune::describe(space.distribution(name)));
    for (const auto& [parent, values] : options.at(name).when) {
      std::string list;
      for (const Json& value : values) {
        list += (list.empty() ? "" : " or ") +
                (value.is_string() ? value.get<std::string>() : value.dump());
      }
      text += fmt::format(", where {} is {}", parent, list);
    }
    text += "\n";
  }
  return text;
}

}  // namespace

StaticPlan plan_static(const StaticConfig& recipe) {
  check_files(recipe);
  run::Cache cache;
  StaticConfig config = recipe;
  const std::string compute = resolve_compute(config, cache);
  resolve_presets(config, cache);
  const tune::Space space(config.space, "/space");
  const auto choice = sampler_choice(config, space);
  run::Config base = config.base;
  const int64_t workers = config.budget.workers;
  base.threads = worker_threads(config);
  CostMeter meter(config.objectives);
  const double seconds_per_flop = measure_seconds_per_flop(
      base, cache, [&](model::Decoder& decoder, const run::RunTokenizer& tokenizer) {
        meter.measure(decoder, tokenizer);
      });
  const Survey points = survey(config, space, cache, seconds_per_flop);
  int64_t trials = config.budget.trials;
  if (choice.kind == tune::SamplerKind::kGrid) {
    trials = std::min<int64_t>(trials, tune::grid(space, "/space").size());
  }

  StaticPlan plan{.feasible = points.feasible > 0};
  plan.text = fmt::format("sampler {}: {}\n", enum_name(choice.kind), choice.reason);
  plan.text += describe_space(config.space, space);
  plan.text += describe_pruner(config);
  double measuring = 0;
  for (size_t i = 0; i < config.objectives.size(); ++i) {
    const ObjectiveCost cost = meter.cost(i);
    plan.text += fmt::format("objective {}, {}: {}\n", enum_name(config.objectives[i].metric),
                             enum_name(eval::direction_of(config.objectives[i])), cost.text);
    measuring += cost.seconds;
  }
  plan.text += fmt::format(
      "{} worker{}, {} a trial\n", workers, workers == 1 ? "" : "s",
      machine::ThreadCount{base.threads, machine::thread_count(config.base.threads).reason}.text());
  if (!compute.empty()) plan.text += compute + "\n";
  plan.text += fmt::format("feasible: {:.0f} % of {} random points\n",
                           100.0 * points.feasible / kSamples, kSamples);
  for (const auto& [reason, count] : points.refusals) {
    plan.text += fmt::format("  {:.0f} % refused: {}\n", 100.0 * count / kSamples, reason);
  }
  if (!points.example.empty()) plan.text += "  for example: " + points.example + "\n";
  for (const eval::ObjectiveOptions& objective : config.objectives) {
    const std::string precision = eval::ObjectiveMeter(objective).precision();
    if (!precision.empty()) plan.text += "objective " + precision + "\n";
  }
  if (points.feasible == 0) return plan;
  const int64_t have = forecast(config.base, cache).device_bytes;
  const double share = trial_limits(config.budget).memory_share;
  plan.text += fmt::format(
      "a worker may need {} of the {} that there are; feasible points need {} to {}\n",
      format_bytes(static_cast<int64_t>(share * static_cast<double>(have))), format_bytes(have),
      format_bytes(points.least_peak), format_bytes(points.most_peak));
  const double mean = points.seconds / points.feasible + measuring;
  plan.text += fmt::format(
      "{} trials of {} on average, {} at once: {} if none is pruned (steps measured on the base "
      "recipe and scaled by their operations)\n",
      trials, view::format_duration(mean), workers,
      view::format_duration(mean * static_cast<double>(trials) / static_cast<double>(workers)));
  return plan;
}

int64_t write_grid(const StaticConfig& recipe, const std::string& path) {
  run::Cache cache;
  StaticConfig config = recipe;
  resolve_compute(config, cache);
  resolve_presets(config, cache);
  const tune::Space space(config.space, "/space");
  std::ofstream file(path);
  if (!file) throw IoError(path, "cannot be written");
  int64_t count = 0;
  for (const std::vector<tune::Param>& params : tune::grid(space, "/space")) {
    std::optional<run::Config> recipe;
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
