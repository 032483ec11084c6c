#include "hone/tune/storage/detail/sql_trials.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "hone/tune/storage/detail/sql_codec.h"

namespace hone::tune::detail {
namespace {

/// Calls `take(trial, row)` for the rows of `columns` in `table` that belong to the trials.
template <class Take>
void each_row(Connection& connection, std::vector<Trial>& trials, const SqlValue& ids,
              const std::string& table, const std::string& columns, const std::string& order,
              Take take) {
  const Rows rows =
      connection.query(fmt::format("SELECT trial_id, {} FROM {} WHERE {} ORDER BY {}", columns,
                                   table, connection.is_among("trial_id", "$1"), order),
                       {ids});
  for (size_t row = 0; row < rows.size(); ++row) {
    const auto trial = std::lower_bound(trials.begin(), trials.end(), rows.integer(row, 0),
                                        [](const Trial& t, int64_t id) { return t.id < id; });
    take(*trial, rows, row);
  }
}

}  // namespace

std::vector<Trial> read_trial_rows(Connection& connection, const std::string& condition,
                                   const std::vector<SqlValue>& parameters) {
  const Rows rows = connection.query(
      "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials WHERE " +
          condition + " ORDER BY trial_id",
      parameters);
  std::vector<Trial> trials(rows.size());
  for (size_t row = 0; row < rows.size(); ++row) {
    trials[row].id = rows.integer(row, 0);
    trials[row].number = rows.integer(row, 1);
    trials[row].state = state_at(rows, row, 2);
    trials[row].start = time_at(rows, row, 3);
    trials[row].complete = time_at(rows, row, 4);
  }
  return trials;
}

void read_details(Connection& connection, std::vector<Trial>& trials) {
  if (trials.empty()) return;
  std::vector<int64_t> all;
  for (const Trial& trial : trials) all.push_back(trial.id);
  const SqlValue ids = connection.ids(all);
  each_row(connection, trials, ids, "trial_params", "param_name, param_value, distribution_json",
           "param_id", [](Trial& trial, const Rows& rows, size_t row) {
             Param param{rows.text(row, 1), rows.real(row, 2), distribution_at(rows, row, 3)};
             if (!std::isfinite(param.value)) rows.broken(row, 2, "a finite value is expected");
             // external_value() indexes the choices with it.
             if (std::holds_alternative<CategoricalDistribution>(param.distribution) &&
                 !contains(param.distribution, param.value)) {
               rows.broken(row, 2, "the index of a choice is expected");
             }
             trial.params.push_back(std::move(param));
           });
  each_row(connection, trials, ids, "trial_values", "objective, value, value_type",
           "trial_id, objective", [](Trial& trial, const Rows& rows, size_t row) {
             if (rows.integer(row, 1) != static_cast<int64_t>(trial.values.size())) {
               rows.broken(row, 1, fmt::format("objective {} is expected", trial.values.size()));
             }
             trial.values.push_back(number_at(rows, row, 2));
           });
  each_row(connection, trials, ids, "trial_intermediate_values",
           "step, intermediate_value, intermediate_value_type", "trial_id, step",
           [](Trial& trial, const Rows& rows, size_t row) {
             trial.intermediate[rows.integer(row, 1)] = number_at(rows, row, 2);
           });
  for (const bool system : {false, true}) {
    each_row(connection, trials, ids, system ? "trial_system_attributes" : "trial_user_attributes",
             "\"key\", value_json", "trial_id", [&](Trial& trial, const Rows& rows, size_t row) {
               Attributes& attrs = system ? trial.system_attrs : trial.user_attrs;
               attrs[rows.text(row, 1)] = attribute_at(rows, row, 2);
             });
  }
}

Rows silent_trials(Connection& connection, int64_t study_id, double seconds) {
  const std::string age = connection.seconds_since("h.heartbeat");
  return connection.query("SELECT t.trial_id, CAST(" + age +
                              " AS DOUBLE PRECISION) FROM trials t JOIN trial_heartbeats h ON "
                              "h.trial_id = t.trial_id WHERE t.study_id = $1 AND t.state = "
                              "'RUNNING' AND " +
                              age + " > $2 ORDER BY t.trial_id",
                          {study_id, seconds});
}

void write_params(Connection& connection, int64_t trial_id, const std::vector<Param>& params) {
  for (const Param& param : params) {
    connection.query(
        "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
        "VALUES ($1, $2, $3, $4)",
        {trial_id, param.name, param.value, distribution_text(param.distribution)});
  }
}

void write_attrs(Connection& connection, int64_t trial_id, const Attributes& attrs, bool system) {
  for (const auto& [key, value] : attrs) {
    connection.query(fmt::format("INSERT INTO trial_{}_attributes (trial_id, \"key\", value_json) "
                                 "VALUES ($1, $2, $3) ON CONFLICT (trial_id, \"key\") "
                                 "DO UPDATE SET value_json = excluded.value_json",
                                 system ? "system" : "user"),
                     {trial_id, key, attribute_text(value)});
  }
}

void write_values(Connection& connection, int64_t trial_id, const std::vector<double>& values) {
  for (size_t objective = 0; objective < values.size(); ++objective) {
    Number number = number_cells(values[objective]);
    connection.query(
        "INSERT INTO trial_values (trial_id, objective, value, value_type) "
        "VALUES ($1, $2, $3, $4) ON CONFLICT (trial_id, objective) "
        "DO UPDATE SET value = excluded.value, value_type = excluded.value_type",
        {trial_id, static_cast<int64_t>(objective), number.value, number.type});
  }
}

void write_intermediate(Connection& connection, int64_t trial_id, int64_t step, double value) {
  Number number = number_cells(value);
  connection.query(
      "INSERT INTO trial_intermediate_values "
      "(trial_id, step, intermediate_value, intermediate_value_type) VALUES ($1, $2, $3, $4) "
      "ON CONFLICT (trial_id, step) DO UPDATE SET intermediate_value = "
      "excluded.intermediate_value, intermediate_value_type = excluded.intermediate_value_type",
      {trial_id, step, number.value, number.type});
}

}  // namespace hone::tune::detail
