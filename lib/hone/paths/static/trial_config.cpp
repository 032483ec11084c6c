#include "hone/paths/static/trial_config.h"

#include <algorithm>
#include <numbers>
#include <set>

#include "hone/core/error.h"
#include "hone/run/config_json.h"

namespace hone::paths {
namespace {

using Pointer = Json::json_pointer;

/// Puts a value at a pointer, making the objects on the way, but no entries of lists.
void put(Json& json, const std::string& pointer, const Json& value) {
  Json::json_pointer at(pointer);
  for (Json::json_pointer parent = at.parent_pointer(); !parent.empty();
       parent = parent.parent_pointer()) {
    if (json.contains(parent) && json.at(parent).is_null()) json[parent] = Json::object();
  }
  for (Pointer child = at; !child.empty(); child = child.parent_pointer()) {
    const Pointer parent = child.parent_pointer();
    if (json.contains(parent) && json.at(parent).is_array()) json.at(child);  // which throws
  }
  json[at] = value;
}

/// Reads `json`, dropping keys that are wrong only in that they are given, unless one of `kept` is
/// or lies in them.
run::Config read_lenient(Json& json, const std::set<std::string>& kept) {
  for (;;) {
    try {
      return config::read_config<run::Config>(json);
    } catch (const ConfigError& error) {
      const bool droppable = std::all_of(
          error.problems().begin(), error.problems().end(), [&](const Problem& problem) {
            const auto searched = kept.lower_bound(problem.path);
            return problem.no_effect &&
                   (searched == kept.end() || !searched->starts_with(problem.path));
          });
      if (!droppable) throw;
      for (const Problem& problem : error.problems()) {
        const Pointer at(problem.path);
        json.at(at.parent_pointer()).erase(at.back());
      }
    }
  }
}

Json with_params(const run::Config& base, const std::vector<tune::Param>& params) {
  Json json = config::to_json(base);
  for (const tune::Param& param : params) {
    put(json, param.name, tune::external_value(param.distribution, param.value));
  }
  return json;
}

std::set<std::string> names(const std::vector<tune::Param>& params) {
  std::set<std::string> all;
  for (const tune::Param& param : params) all.insert(param.name);
  return all;
}

/// Values that show whether a key takes the parameter at all: its ends and, of a real one, a value
/// between that is hardly an integer; or all its choices.
std::vector<double> samples(const tune::Distribution& distribution) {
  if (const auto* d = std::get_if<tune::FloatDistribution>(&distribution)) {
    const double between = d->low + d->step.value_or((d->high - d->low) / std::numbers::pi);
    return {d->low, std::min(between, d->high), d->high};
  }
  if (const auto* d = std::get_if<tune::IntDistribution>(&distribution)) {
    return {static_cast<double>(d->low), static_cast<double>(d->high)};
  }
  std::vector<double> all;
  const auto& choices = std::get<tune::CategoricalDistribution>(distribution).choices;
  for (size_t i = 0; i < choices.size(); ++i) all.push_back(static_cast<double>(i));
  return all;
}

/// Why trials are the same whatever stands at that key; null if they are not.
const char* without_effect(const std::string& name) {
  if (name == "/threads") return "the workers share the machine's threads (budget.workers)";
  if (name == "/train/save_every" || name == "/train/keep_checkpoints") {
    return "trials keep no checkpoints";
  }
  if (name == "/about" || name == "/train/log_every") return "it changes nothing in a trial";
  return nullptr;
}

/// What the recipe's reader says of the very key `name` with that value; "" if nothing.
std::string complaint(const run::Config& base, const tune::Param& param) {
  try {
    Json json = with_params(base, {param});
    config::read_config<run::Config>(json);
  } catch (const ConfigError& error) {
    for (const Problem& problem : error.problems()) {
      const bool here = problem.path == param.name || problem.path.starts_with(param.name + "/") ||
                        param.name.starts_with(problem.path + "/");
      const bool structural =
          problem.message.starts_with("expected") || problem.message.starts_with("unknown key") ||
          problem.message.starts_with("must be in") || problem.message.starts_with("must be at");
      if (here && structural) return problem.message;
    }
  } catch (const Json::exception&) {
    return "does not point to a key of the recipe";
  }
  return "";
}

}  // namespace

run::Config trial_config(const run::Config& base, const std::vector<tune::Param>& params) {
  Json json = with_params(base, params);
  return read_lenient(json, names(params));
}

Json trial_json(const run::Config& base, const std::vector<tune::Param>& params) {
  return config::to_json(trial_config(base, params));
}

std::vector<Problem> check_space(const run::Config& base, const tune::SpaceOptions& space,
                                 const std::string& path) {
  std::vector<Problem> problems;
  for (const auto& [name, options] : space) {
    const std::string at = path + "/" + pointer_step(name);
    if (!name.starts_with('/')) {
      problems.push_back({at, "must be a JSON pointer into the base recipe, such as /train/lr"});
      continue;
    }
    if (const char* why = without_effect(name)) {
      problems.push_back({at, std::string("cannot be searched: ") + why});
      continue;
    }
    const tune::Distribution distribution = options.distribution();
    for (const double value : samples(distribution)) {
      std::string message = complaint(base, {name, value, distribution});
      if (message.empty()) continue;
      if (message.starts_with("expected integer")) message += "; give the parameter type int";
      problems.push_back(
          {at, tune::external_value(distribution, value).dump() + " cannot be tried: " + message});
      break;
    }
  }
  return problems;
}

}  // namespace hone::paths
