/// How Optuna writes times, states, numbers and attributes into cells.
#pragma once
#include <string>
#include <string_view>

#include "hone/tune/storage/detail/sql_connection.h"
#include "hone/tune/trial.h"

namespace hone::tune::detail {

Time now();
/// "2026-11-24 23:53:34.064221", UTC. Throws: Error outside the years 1 to 9999.
std::string time_text(Time time);
/// nullopt for NULL. A fraction may be absent or shorter.
std::optional<Time> time_at(const Rows& rows, size_t row, size_t column);

std::string state_name(TrialState state);
TrialState state_at(const Rows& rows, size_t row, size_t column);
std::string direction_name(Direction direction);
Direction direction_at(const Rows& rows, size_t row, size_t column);

/// A number as the pair of cells (value, type); NaN has a type in intermediate values only.
struct Number {
  SqlValue value;
  std::string type;
};
Number number_cells(double value);
double number_at(const Rows& rows, size_t row, size_t value_column);

/// JSON without NaN (null instead), all ASCII. Throws: Error if a string is not UTF-8.
std::string attribute_text(const Json& value);
/// Reads also what Python's json module writes beyond JSON: NaN, Infinity and -Infinity become
/// strings of that name, integers of more than 64 bits become reals. NULL reads as null.
Json attribute_at(const Rows& rows, size_t row, size_t column);

Distribution distribution_at(const Rows& rows, size_t row, size_t column);

/// Throws: Error unless `name` fits the name columns of both databases: at most 512 characters of
/// UTF-8 without NUL. `what` is e.g. "study name".
void require_name(const char* what, std::string_view name);

}  // namespace hone::tune::detail
