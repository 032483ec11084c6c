#include "hone/paths/static/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/hash.h"
#include "hone/core/log.h"
#include "hone/io/atomic.h"
#include "hone/io/run_folder.h"
#include "hone/machine/stop_signal.h"
#include "hone/paths/static/trial.h"
#include "hone/paths/static/trial_config.h"
#include "hone/run/config_json.h"
#include "hone/tune/importance.h"
#include "hone/tune/pareto.h"
#include "hone/tune/report/export.h"
#include "hone/tune/report/live_table.h"
#include "hone/tune/report/report.h"
#include "hone/tune/samplers/samplers.h"
#include "hone/tune/search.h"
#include "hone/tune/standard_error.h"

namespace hone::paths {
namespace {

constexpr const char* kBest = "best.json";
constexpr const char* kFinal = "final.json";

/// How many trials there are of each tune::standing().
Json counts_json(const std::vector<tune::TrialPtr>& trials) {
  const auto again = tune::tried_again(trials);
  Json counts = {{"complete", 0}, {"pruned", 0},  {"failed", 0}, {"interrupted", 0},
                 {"refused", 0},  {"running", 0}, {"waiting", 0}};
  for (const tune::TrialPtr& trial : trials) {
    Json& count = counts[tune::standing(*trial, again)];
    count = count.get<int64_t>() + 1;
  }
  return counts;
}

/// "0.62 +- 0.035, 12": values, with standard errors where they have one.
std::string values_text(const std::vector<double>& values, const Json& errors = Json::array()) {
  std::string text;
  for (size_t i = 0; i < values.size(); ++i) {
    text += fmt::format("{}{:.6g}", i == 0 ? "" : ", ", values[i]);
    if (i < errors.size() && errors[i].is_number()) {
      text += fmt::format(" +- {:.2g}", errors[i].get<double>());
    }
  }
  return text;
}

Json params_json(const tune::Trial& trial) {
  Json params = Json::object();
  for (const tune::Param& param : trial.params) {
    params[param.name] = tune::external_value(param.distribution, param.value);
  }
  return params;
}

Json ranked_trial_json(const tune::Trial& trial) {
  Json json = {{"number", trial.number}, {"values", trial.values}, {"params", params_json(trial)}};
  const auto errors = trial.user_attrs.find(tune::kStandardErrors);
  if (errors != trial.user_attrs.end()) json["standard_errors"] = errors->second;
  return json;
}

/// Writes the trial's recipe; what that lacks of the trial, "" if nothing. A trial of another
/// program may have parameters that are no keys of the recipe, and lack those of the space.
std::string write_recipe(const StaticConfig& config, const tune::Trial& trial,
                         const std::string& study, const std::string& path) {
  std::vector<tune::Param> params;
  std::string foreign, note;
  for (const tune::Param& param : trial.params) {
    if (config.space.contains(param.name)) {
      params.push_back(param);
    } else {
      foreign += (foreign.empty() ? "" : ", ") + param.name;
    }
  }
  if (!foreign.empty()) {
    note = fmt::format(
        "trial {} is not of this search: {} is without what it had beyond the space: {}",
        trial.number, std::filesystem::path(path).filename().string(), foreign);
  }
  try {
    Json recipe = trial_json(config.base, params);
    recipe["about"] = fmt::format(
        "Trial {} of the study \"{}\" ({}): hone-domain --config {} --out runs/best{}",
        trial.number, study, values_text(trial.values), path, note.empty() ? "" : "; " + note);
    io::replace_file_atomically(path, recipe.dump(2) + "\n");
  } catch (const ConfigError& error) {
    std::filesystem::remove(path);  // of an earlier best
    note = fmt::format("trial {} makes no recipe, so there is no {}: {}", trial.number,
                       std::filesystem::path(path).filename().string(), error.what());
  }
  if (!note.empty()) log_warning(note);
  return note;
}

std::string title(const StaticConfig& config) {
  return config.about.empty() ? "Search " + config.study.name : config.about;
}

std::vector<std::string> metric_names(const StaticConfig& config) {
  std::vector<std::string> names;
  for (const eval::ObjectiveOptions& objective : config.objectives) {
    names.push_back(enum_name(objective.metric));
  }
  return names;
}

struct Summary {
  double mean = 0, deviation = 0;
};

Summary summarise(const std::vector<double>& values) {
  Summary s;
  for (const double value : values) s.mean += value / static_cast<double>(values.size());
  for (const double value : values) s.deviation += (value - s.mean) * (value - s.mean);
  s.deviation =
      values.size() > 1 ? std::sqrt(s.deviation / static_cast<double>(values.size() - 1)) : 0;
  return s;
}

/// First objective of the final runs: mean and deviation of both recipes, and on how many seeds the
/// best one was better.
Json final_json(const StaticConfig& config, const Json& runs) {
  std::map<std::string, std::map<int64_t, double>> by;
  for (const Json& run : runs) {
    if (run.at("values").empty()) continue;
    by[run.at("recipe").get<std::string>()][run.at("seed").get<int64_t>()] =
        run.at("values")[0].get<double>();
  }
  Json json = {{"metric", enum_name(config.objectives[0].metric)}, {"runs", runs}};
  for (const auto& [recipe, values] : by) {
    std::vector<double> list;
    for (const auto& [seed, value] : values) list.push_back(value);
    const Summary s = summarise(list);
    json[recipe] = {{"mean", s.mean}, {"deviation", s.deviation}, {"seeds", list.size()}};
  }
  int64_t better = 0;
  for (const auto& [seed, value] : by["best"]) {
    if (!by["base"].contains(seed)) continue;
    const tune::Direction direction = eval::direction_of(config.objectives[0]);
    better += tune::loss(value, direction) < tune::loss(by["base"][seed], direction);
  }
  json["better_seeds"] = better;
  return json;
}

}  // namespace

std::string trial_line(const tune::Trial& trial, const std::map<int64_t, int64_t>& again) {
  const std::string standing = tune::standing(trial, again);
  std::string text = fmt::format("trial {} {}", trial.number, standing);
  if (standing == "interrupted") {
    return text + fmt::format("; trial {} tries its point again", again.at(trial.number));
  }
  for (const char* why : {tune::kRefused, tune::kError}) {
    const auto found = trial.user_attrs.find(why);
    if (found == trial.user_attrs.end()) continue;
    text += ": " +
            (found->second.is_string() ? found->second.get<std::string>() : found->second.dump());
  }
  const auto errors = trial.user_attrs.find(tune::kStandardErrors);
  if (!trial.values.empty()) {
    text += ": " + values_text(trial.values,
                               errors == trial.user_attrs.end() ? Json::array() : errors->second);
  }
  return text;
}

std::string search_table(const StaticConfig& config, const tune::StudyView& study, tune::Time now) {
  return tune::live_table(study, now,
                          {.trials = config.budget.trials,
                           .workers = config.budget.workers,
                           .objectives = metric_names(config)});
}

Json write_static_report(const StaticConfig& config, const tune::Study& study,
                         const std::vector<tune::TrialPtr>& trials, const std::string& folder) {
  const tune::StudyView view{study.name, study.directions, trials};
  const tune::Space space(config.space, "/space");
  const auto choice = sampler_choice(config, space);
  Json report = {{"path", "static"},
                 {"about", config.about},
                 {"study", study.name},
                 {"sampler", enum_name(choice.kind)},
                 {"sampler_reason", choice.reason},
                 {"trials", counts_json(trials)},
                 {"best", nullptr}};
  const auto recipe = [&](const tune::Trial& trial, const std::string& file) {
    const std::string note = write_recipe(config, trial, study.name, folder + "/" + file);
    if (!note.empty()) report["notes"].push_back(note);
  };
  if (const tune::TrialPtr best = tune::best_trial(view)) {
    report["best"] = ranked_trial_json(*best);
    const tune::Ties ties = tune::ties(view, *best);
    report["ties"] = {{"equal", ties.equal}, {"within_standard_error", ties.within}};
    recipe(*best, kBest);
  }
  if (study.directions.size() > 1) {
    report["pareto"] = Json::array();
    for (const tune::TrialPtr& trial : tune::pareto_front(view)) {
      report["pareto"].push_back(ranked_trial_json(*trial));
      recipe(*trial, fmt::format("pareto-{}.json", trial->number));
    }
  }
  if (report.at("trials").at("complete").get<int64_t>() > 1) {
    report["importance"] = Json::object();
    for (const auto& [name, share] : tune::importances(view)) report["importance"][name] = share;
  }
  const auto write = [&](const char* name, const std::string& text) {
    io::replace_file_atomically(folder + "/" + name, text);
  };
  write("trials.csv", tune::trials_csv(view));
  write("trials.jsonl", tune::trials_jsonl(view));
  write("report.html", tune::render_study_report(view, {.title = title(config),
                                                        .objectives = metric_names(config),
                                                        .notes = {tune::kRefused, tune::kError}}));
  const std::string final = folder + "/" + kFinal;
  if (std::filesystem::exists(final)) report["final"] = final_json(config, read_json_file(final));
  io::replace_file_atomically(folder + "/" + io::kReportFile, report.dump(2) + "\n");
  return report;
}

std::optional<run::Config> read_best(const std::string& folder) {
  if (!std::filesystem::exists(folder + "/" + kBest)) return std::nullopt;
  return config::read_config<run::Config>(read_json_file(folder + "/" + kBest));
}

int run_final_seeds(const StaticConfig& config, const run::Config& best, const std::string& folder,
                    run::Cache& cache) {
  const std::string results = folder + "/" + kFinal;
  Json runs = std::filesystem::exists(results) ? read_json_file(results) : Json::array();
  TrialRunner runner(config, cache);
  const auto known = [&](const char* recipe, int64_t seed, const std::string& hash) {
    return std::any_of(runs.begin(), runs.end(), [&](const Json& run) {
      return run.at("recipe") == recipe && run.at("seed") == seed && run.at("config") == hash;
    });
  };
  for (int64_t i = 0; i < config.final.seeds; ++i) {
    for (const auto& [name, recipe] : {std::pair{"best", &best}, std::pair{"base", &config.base}}) {
      run::Config run = *recipe;
      run.seed = config.base.seed + i;
      run.threads = best.threads;
      if (!config.final.held_out.empty()) run.data.held_out = config.final.held_out;
      const std::string hash = hash_bytes(config::to_json(run).dump());
      if (known(name, run.seed, hash)) continue;
      const std::string out = fmt::format("{}/final/{}-{}", folder, name, run.seed);
      std::filesystem::remove_all(out);
      std::filesystem::create_directories(folder + "/final");
      const TrialResult result = runner.run(run, out, [](int64_t, double) { return false; });
      if (result.signal != 0) return machine::signal_exit_code(result.signal);
      runs.push_back(
          {{"recipe", name}, {"seed", run.seed}, {"config", hash}, {"values", result.values}});
      io::replace_file_atomically(results, runs.dump(2) + "\n");
      log_info(fmt::format("final {} seed {}: {}", name, run.seed, values_text(result.values)));
    }
  }
  return 0;
}

namespace {

/// Reports of before 2026-12 have no ties.
std::string ties_text(const Json& report) {
  const Json ties = report.value("ties", Json::object());
  const auto numbers = [&ties](const char* key) {
    return ties.value(key, Json::array()).get<std::vector<int64_t>>();
  };
  return tune::ties_text({numbers("equal"), numbers("within_standard_error")});
}

}  // namespace

std::string static_summary(const Json& report, const std::string& folder) {
  const Json& counts = report.at("trials");
  std::string text = fmt::format("{} trials complete, {} pruned, {} failed, {} refused",
                                 counts.at("complete").dump(), counts.at("pruned").dump(),
                                 counts.at("failed").dump(), counts.at("refused").dump());
  if (counts.at("interrupted") != 0) {
    text += fmt::format(", {} interrupted", counts.at("interrupted").dump());
  }
  if (counts.at("waiting") != 0) text += fmt::format(", {} left", counts.at("waiting").dump());
  text += "\n";
  if (const Json& best = report.at("best"); !best.is_null()) {
    text += fmt::format("best: trial {}, {}\n", best.at("number").dump(),
                        values_text(best.at("values").get<std::vector<double>>(),
                                    best.value("standard_errors", Json::array())));
    const std::string tied = ties_text(report);
    if (!tied.empty()) text += "  " + tied + "\n";
    for (const auto& [name, value] : best.at("params").items()) {
      text += fmt::format("  {:<32} {}\n", name, value.dump());
    }
  }
  for (const Json& note : report.value("notes", Json::array())) {
    text += "note: " + note.get<std::string>() + "\n";
  }
  if (report.contains("final")) {
    const Json& final = report.at("final");
    for (const char* recipe : {"best", "base"}) {
      if (!final.contains(recipe)) continue;
      const Json& s = final.at(recipe);
      text += fmt::format("{} recipe by {} seeds: {} {:.6g} +- {:.3g}\n", recipe,
                          s.at("seeds").dump(), final.at("metric").get<std::string>(),
                          s.at("mean").get<double>(), s.at("deviation").get<double>());
    }
    text += fmt::format("the best recipe is better on {} of {} seeds\n",
                        final.at("better_seeds").dump(), final.at("best").at("seeds").dump());
  }
  if (report.contains("importance")) {
    text += "importance:";
    for (const auto& [name, share] : report.at("importance").items()) {
      text += fmt::format(" {} {:.2f}", name, share.get<double>());
    }
    text += "\n";
  }
  return text + "see " + folder + "/report.html";
}

}  // namespace hone::paths
