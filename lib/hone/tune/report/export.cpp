#include "hone/tune/report/export.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "hone/tune/storage/detail/sql_codec.h"

namespace hone::tune {
namespace {

using Row = std::map<std::string, std::string>;

std::string text_of(const Json& json) {
  if (json.is_null()) return "";
  if (json.is_string()) return json.get<std::string>();
  if (json.is_number_float()) return fmt::format("{}", json.get<double>());
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// "1 days 02:03:04.500000", as pandas writes it.
std::string duration_text(Time duration) {
  constexpr Time kSecond = 1'000'000;
  const Time seconds = duration / kSecond;
  std::string text = fmt::format("{} days {:02}:{:02}:{:02}", seconds / 86400, seconds / 3600 % 24,
                                 seconds / 60 % 60, seconds % 60);
  if (duration % kSecond != 0) text += fmt::format(".{:06}", duration % kSecond);
  return text;
}

/// A field, quoted where it must be.
std::string field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

std::string line(const std::vector<std::string>& fields) {
  std::string text;
  for (const std::string& one : fields) text += (text.empty() ? "" : ",") + field(one);
  return text + "\r\n";
}

/// The columns between duration and state, by group.
struct Groups {
  Row params, user, system;
};

Groups groups_of(const Trial& trial) {
  Groups groups;
  for (const Param& param : trial.params) {
    groups.params["params_" + param.name] =
        text_of(external_value(param.distribution, param.value));
  }
  for (const auto& [key, value] : trial.user_attrs) {
    groups.user["user_attrs_" + key] = text_of(value);
  }
  for (const auto& [key, value] : trial.system_attrs) {
    groups.system["system_attrs_" + key] = text_of(value);
  }
  return groups;
}

std::vector<std::string> fixed_fields(const Trial& trial, size_t objectives) {
  std::vector<std::string> fields{std::to_string(trial.number)};
  for (size_t i = 0; i < objectives; ++i) {
    fields.push_back(i < trial.values.size() ? fmt::format("{}", trial.values[i]) : "");
  }
  fields.push_back(trial.start ? detail::time_text(*trial.start) : "");
  fields.push_back(trial.complete ? detail::time_text(*trial.complete) : "");
  const bool ended = trial.start && trial.complete;
  fields.push_back(ended ? duration_text(std::max<Time>(0, *trial.complete - *trial.start)) : "");
  return fields;
}

Json number_json(double value) {
  if (std::isfinite(value)) return value;
  return fmt::format("{}", value);
}

Json attributes_json(const Attributes& attributes) {
  Json json = Json::object();
  for (const auto& [key, value] : attributes) json[key] = value;
  return json;
}

Json trial_json(const Trial& trial) {
  Json json{{"number", trial.number},          {"state", enum_name(trial.state)},
            {"values", Json::array()},         {"params", Json::object()},
            {"distributions", Json::object()}, {"intermediate_values", Json::object()}};
  for (const double value : trial.values) json["values"].push_back(number_json(value));
  for (const Param& param : trial.params) {
    json["params"][param.name] = external_value(param.distribution, param.value);
    json["distributions"][param.name] =
        parse_json(distribution_text(param.distribution), "distribution");
  }
  for (const auto& [step, value] : trial.intermediate) {
    json["intermediate_values"][std::to_string(step)] = number_json(value);
  }
  json["user_attrs"] = attributes_json(trial.user_attrs);
  json["system_attrs"] = attributes_json(trial.system_attrs);
  const auto time = [](std::optional<Time> t) { return t ? Json(detail::time_text(*t)) : Json(); };
  json["datetime_start"] = time(trial.start);
  json["datetime_complete"] = time(trial.complete);
  return json;
}

}  // namespace

std::string trials_csv(const StudyView& study) {
  std::vector<Groups> rows;
  Groups columns;
  for (const TrialPtr& trial : study.trials) {
    rows.push_back(groups_of(*trial));
    columns.params.insert(rows.back().params.begin(), rows.back().params.end());
    columns.user.insert(rows.back().user.begin(), rows.back().user.end());
    columns.system.insert(rows.back().system.begin(), rows.back().system.end());
  }
  const size_t objectives = study.directions.size();
  std::vector<std::string> header{"number"};
  for (size_t i = 0; i < objectives; ++i) {
    header.push_back(objectives == 1 ? "value" : fmt::format("values_{}", i));
  }
  header.insert(header.end(), {"datetime_start", "datetime_complete", "duration"});
  for (const Row* group : {&columns.params, &columns.user, &columns.system}) {
    for (const auto& [name, any] : *group) header.push_back(name);
  }
  header.emplace_back("state");

  std::string csv = line(header);
  for (size_t i = 0; i < rows.size(); ++i) {
    std::vector<std::string> fields = fixed_fields(*study.trials[i], objectives);
    const auto add = [&fields](const Row& group, const Row& row) {
      for (const auto& [name, any] : group) {
        const auto found = row.find(name);
        fields.push_back(found == row.end() ? "" : found->second);
      }
    };
    add(columns.params, rows[i].params);
    add(columns.user, rows[i].user);
    add(columns.system, rows[i].system);
    fields.push_back(detail::state_name(study.trials[i]->state));
    csv += line(fields);
  }
  return csv;
}

std::string trials_jsonl(const StudyView& study) {
  std::string text;
  for (const TrialPtr& trial : study.trials) {
    text += trial_json(*trial).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  return text;
}

}  // namespace hone::tune
