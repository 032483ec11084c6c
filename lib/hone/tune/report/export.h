/// Trials as text for other programs.
#pragma once
#include <string>

#include "hone/tune/trial.h"

namespace hone::tune {

/// A header and a row a trial, with the columns of Optuna's trials_dataframe: number, value (or
/// values_0, ...), datetime_start, datetime_complete (UTC), duration, params_*, user_attrs_*,
/// system_attrs_*, state. What a trial has not is empty; attributes that are no plain text are
/// JSON. Quoted as RFC 4180 says.
std::string trials_csv(const StudyView& study);

/// A JSON object a line: {"number", "state", "values", "params": {name: value}, "distributions":
/// {name: as Optuna stores it}, "intermediate_values": {step: value}, "user_attrs", "system_attrs",
/// "datetime_start", "datetime_complete"} (UTC, or null). Numbers that JSON has not are the strings
/// "nan", "inf", "-inf".
std::string trials_jsonl(const StudyView& study);

}  // namespace hone::tune
