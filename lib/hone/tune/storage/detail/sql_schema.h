#pragma once
#include "hone/tune/storage/detail/sql_connection.h"

namespace hone::tune::detail {

/// Makes Optuna's tables (revision v3.2.0.a) in an empty database, else checks that they are there.
/// Waits at most `patience` seconds for another process that makes them just now.
/// Throws: IoError if the database is another program's, of another revision, or incomplete.
void prepare_schema(Connection& connection, double patience);

}  // namespace hone::tune::detail
