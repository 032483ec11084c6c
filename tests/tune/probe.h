/// What the probes of this room share: a line of JSON in, a line of JSON out. Numbers that JSON has
/// not are the strings "nan", "inf" and "-inf".
#pragma once
#include <cmath>
#include <functional>
#include <iostream>
#include <string>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/tune/trial.h"

namespace hone::tune::probe {

inline double number(const Json& json) {
  return json.is_string() ? std::stod(json.get<std::string>()) : json.get<double>();
}

inline Json number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

inline std::vector<double> numbers(const Json& json) {
  std::vector<double> values;
  for (const Json& value : json) values.push_back(number(value));
  return values;
}

inline Json numbers(const std::vector<double>& values) {
  Json json = Json::array();
  for (const double value : values) json.push_back(number(value));
  return json;
}

inline std::vector<std::vector<double>> matrix(const Json& json) {
  std::vector<std::vector<double>> rows;
  for (const Json& row : json) rows.push_back(numbers(row));
  return rows;
}

inline Attributes attributes(const Json& json) {
  Attributes attributes;
  for (const auto& [key, value] : json.items()) attributes[key] = value;
  return attributes;
}

/// {"number", "state", "values", "params": [[name, internal, distribution text]], "intermediate":
/// [[step, value]], "user_attrs", "system_attrs", "start", "complete"}; all but number may lack.
inline Trial trial(const Json& json) {
  Trial trial;
  trial.number = json.at("number").get<int64_t>();
  trial.id = trial.number + 1;
  trial.state = enum_from_name<TrialState>(json.value("state", "running")).value();
  trial.values = numbers(json.value("values", Json::array()));
  for (const Json& param : json.value("params", Json::array())) {
    trial.params.push_back({param.at(0).get<std::string>(), number(param.at(1)),
                            parse_distribution(param.at(2).get<std::string>())});
  }
  for (const Json& point : json.value("intermediate", Json::array())) {
    trial.intermediate[point.at(0).get<int64_t>()] = number(point.at(1));
  }
  trial.user_attrs = attributes(json.value("user_attrs", Json::object()));
  trial.system_attrs = attributes(json.value("system_attrs", Json::object()));
  if (json.contains("start")) trial.start = json.at("start").get<Time>();
  if (json.contains("complete")) trial.complete = json.at("complete").get<Time>();
  return trial;
}

/// {"name", "directions", "trials"}.
inline StudyView study(const Json& json) {
  StudyView view{json.at("name").get<std::string>(), {}, {}};
  for (const Json& direction : json.at("directions")) {
    view.directions.push_back(enum_from_name<Direction>(direction.get<std::string>()).value());
  }
  for (const Json& one : json.at("trials")) {
    view.trials.push_back(std::make_shared<Trial>(trial(one)));
  }
  return view;
}

/// Answers every line of the standard input.
inline int serve(const std::function<Json(const Json&)>& answer) {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << answer(parse_json(line, "standard input")).dump() << "\n";
  }
  return 0;
}

}  // namespace hone::tune::probe
