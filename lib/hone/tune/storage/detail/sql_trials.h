/// Trials out of and into the tables, within a transaction of the caller.
#pragma once
#include <string>
#include <vector>

#include "hone/tune/storage/detail/sql_connection.h"
#include "hone/tune/trial.h"

namespace hone::tune::detail {

/// Of the table trials alone: the rest of the trial is empty. `condition` takes `parameters`.
/// Ascending by id.
std::vector<Trial> read_trial_rows(Connection& connection, const std::string& condition,
                                   const std::vector<SqlValue>& parameters);

/// Reads the other tables' rows of `trials`, which are ascending by id.
void read_details(Connection& connection, std::vector<Trial>& trials);

/// Ids of the RUNNING trials of a study whose heartbeat is more than `seconds` old, ascending, and
/// how old it is.
Rows silent_trials(Connection& connection, int64_t study_id, double seconds);

void write_params(Connection& connection, int64_t trial_id, const std::vector<Param>& params);
void write_attrs(Connection& connection, int64_t trial_id, const Attributes& attrs, bool system);
void write_values(Connection& connection, int64_t trial_id, const std::vector<double>& values);
void write_intermediate(Connection& connection, int64_t trial_id, int64_t step, double value);

}  // namespace hone::tune::detail
