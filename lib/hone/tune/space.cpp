#include "hone/tune/space.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "hone/core/error.h"

namespace hone::tune {
namespace {

int64_t whole(double value, const char* key) {
  if (value != std::floor(value) || std::abs(value) > 9007199254740992.0) {
    throw Error(fmt::format("{} must be an integer of type int, got {}", key, value));
  }
  return static_cast<int64_t>(value);
}

}  // namespace

Distribution ParameterOptions::distribution() const {
  if (type == ParameterType::kCategorical) return validated(CategoricalDistribution{choices});
  if (!low || !high) throw Error("a range needs low and high");
  const double from = *low, to = *high;
  if (type == ParameterType::kFloat) return validated(FloatDistribution{from, to, log, step});
  return validated(
      IntDistribution{whole(from, "low"), whole(to, "high"), log, step ? whole(*step, "step") : 1});
}

void ParameterOptions::validate(Validation& v) const {
  const bool categorical = type == ParameterType::kCategorical;
  if (categorical) {
    for (const char* key : {"low", "high", "log", "step"})
      v.no_effect(key, "with type categorical");
    if (choices.empty()) v.problem("choices", "must list the values of a categorical parameter");
  } else {
    v.no_effect("choices", "unless type is categorical");
    if (!low) v.problem("low", "is needed for a range");
    if (!high) v.problem("high", "is needed for a range");
  }
  if (categorical ? choices.empty() : !low || !high) return;
  try {
    distribution();
  } catch (const Error& error) {
    v.problem(categorical ? "choices" : "low", error.what());
  }
}

Space::Space(const SpaceOptions& options, const std::string& path) {
  std::vector<Problem> problems;
  for (const auto& [name, parameter] : options) {
    distributions_[name] = parameter.distribution();
    parameters_[name].distribution = distributions_[name];
  }
  std::vector<std::string> known;
  for (const auto& [name, parameter] : options) known.push_back(name);
  for (const auto& [name, parameter] : options) {
    for (const auto& [parent, values] : parameter.when) {
      const std::string at = path + "/" + pointer_step(name) + "/when/" + pointer_step(parent);
      if (!parameters_.contains(parent)) {
        problems.push_back(
            {at, "no parameter of the space has this name" + did_you_mean(parent, known)});
        continue;
      }
      if (values.empty()) problems.push_back({at, "must list at least one value"});
      for (const Json& value : values) {
        try {
          parameters_[name].when[parent].push_back(internal_value(distribution(parent), value));
        } catch (const Error& error) {
          problems.push_back({at, error.what()});
        }
      }
    }
  }
  enum class Mark { kNew, kOpen, kDone };
  std::map<std::string, Mark> marks;
  const std::function<void(const std::string&)> visit = [&](const std::string& name) {
    Mark& mark = marks[name];
    if (mark == Mark::kDone) return;
    if (mark == Mark::kOpen) {
      problems.push_back(
          {path + "/" + pointer_step(name) + "/when", "conditions must not run in a circle"});
      return;
    }
    mark = Mark::kOpen;
    for (const auto& [parent, values] : parameters_[name].when) visit(parent);
    marks[name] = Mark::kDone;
    names_.push_back(name);
  };
  for (const std::string& name : known) visit(name);
  if (!problems.empty()) throw ConfigError(std::move(problems));
}

bool Space::active(const std::string& name, const std::vector<Param>& suggested) const {
  for (const auto& [parent, values] : parameters_.at(name).when) {
    const auto found = std::find_if(suggested.begin(), suggested.end(),
                                    [&](const Param& param) { return param.name == parent; });
    if (found == suggested.end()) return false;
    if (std::find(values.begin(), values.end(), found->value) == values.end()) return false;
  }
  return true;
}

bool Space::conditional() const {
  return std::any_of(parameters_.begin(), parameters_.end(),
                     [](const auto& entry) { return !entry.second.when.empty(); });
}

bool Space::numeric() const {
  return std::none_of(parameters_.begin(), parameters_.end(), [](const auto& entry) {
    return std::holds_alternative<CategoricalDistribution>(entry.second.distribution);
  });
}

std::vector<Param> suggest(const Space& space, Sampler& sampler, const StudyView& study,
                           Trial& trial, const Suggestion& fixed) {
  const Suggestion joint = sampler.sample_relative(study, trial);
  std::vector<Param> params;
  for (const std::string& name : space.names()) {
    if (!space.active(name, params)) continue;
    const Distribution& distribution = space.distribution(name);
    const auto given = fixed.find(name), drawn = joint.find(name);
    double value;
    if (given != fixed.end() && contains(distribution, given->second)) {
      value = given->second;
    } else if (drawn != joint.end() && contains(distribution, drawn->second)) {
      value = drawn->second;
    } else if (single(distribution)) {
      value = value_at(distribution, 0);
    } else {
      value = sampler.sample_independent(study, trial, name, distribution);
    }
    params.push_back({name, value, distribution});
  }
  return params;
}

std::vector<std::vector<Param>> grid(const Space& space, const std::string& path) {
  constexpr size_t kMost = 1'000'000;
  std::vector<Problem> problems;
  for (const std::string& name : space.names()) {
    if (cardinality(space.distribution(name))) continue;
    problems.push_back({path + "/" + pointer_step(name) + "/step", "is needed for a grid"});
  }
  if (!problems.empty()) throw ConfigError(std::move(problems));
  std::vector<std::vector<Param>> points{{}};
  for (const std::string& name : space.names()) {
    const Distribution& distribution = space.distribution(name);
    std::vector<std::vector<Param>> longer;
    for (std::vector<Param>& point : points) {
      if (!space.active(name, point)) {
        longer.push_back(std::move(point));
        continue;
      }
      for (int64_t i = 0; i < *cardinality(distribution); ++i) {
        longer.push_back(point);
        longer.back().push_back({name, value_at(distribution, i), distribution});
        if (longer.size() > kMost) throw Error("the grid has more than a million points");
      }
    }
    points = std::move(longer);
  }
  return points;
}

}  // namespace hone::tune
