#include "hone/tune/storage/detail/sql_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "hone/core/version.h"

namespace hone::tune::detail {
namespace {

using namespace std::chrono_literals;

constexpr const char* kRevision = "v3.2.0.a";
/// The number that Optuna froze when it went over to revisions.
constexpr int64_t kSchemaVersion = 12;

/// Tables with the columns that are used.
using Layout = std::map<std::string, std::set<std::string>>;

const Layout& expected_layout() {
  static const Layout layout = {
      {"studies", {"study_id", "study_name"}},
      {"study_directions", {"direction", "study_id", "objective"}},
      {"study_user_attributes", {"study_id", "key", "value_json"}},
      {"study_system_attributes", {"study_id", "key", "value_json"}},
      {"trials",
       {"trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"}},
      {"trial_user_attributes", {"trial_id", "key", "value_json"}},
      {"trial_system_attributes", {"trial_id", "key", "value_json"}},
      {"trial_params", {"param_id", "trial_id", "param_name", "param_value", "distribution_json"}},
      {"trial_values", {"trial_id", "objective", "value", "value_type"}},
      {"trial_intermediate_values",
       {"trial_id", "step", "intermediate_value", "intermediate_value_type"}},
      {"trial_heartbeats", {"trial_id", "heartbeat"}},
      {"version_info", {"version_info_id", "schema_version", "library_version"}},
      {"alembic_version", {"version_num"}}};
  return layout;
}

Layout layout_of(Connection& connection) {
  Layout layout;
  const Rows rows = connection.query(connection.layout_query());
  for (size_t i = 0; i < rows.size(); ++i) layout[rows.text(i, 0)].insert(rows.text(i, 1));
  return layout;
}

bool has_optuna_table(const Layout& layout) {
  for (const auto& [table, columns] : expected_layout()) {
    if (layout.contains(table)) return true;
  }
  return false;
}

/// What keeps the tables from being Optuna's, "" if nothing.
std::string missing(const Layout& layout) {
  for (const auto& [table, columns] : expected_layout()) {
    const auto found = layout.find(table);
    if (found == layout.end()) return "the table " + table;
    for (const std::string& column : columns) {
      if (!found->second.contains(column)) return "the column " + table + "." + column;
    }
  }
  return "";
}

void create(Connection& connection) {
  connection.execute(connection.schema());
  connection.query(
      "INSERT INTO version_info (version_info_id, schema_version, library_version) "
      "VALUES (1, $1, $2)",
      {kSchemaVersion, std::string("hone ") + version()});
  connection.query("INSERT INTO alembic_version (version_num) VALUES ($1)",
                   {std::string(kRevision)});
}

/// The revision that the database names, "" if none.
std::string revision_of(Connection& connection) {
  const Rows rows = connection.query("SELECT version_num FROM alembic_version");
  if (rows.size() > 1) throw IoError(connection.name(), "alembic_version holds several revisions");
  return rows.empty() ? "" : rows.text(0, 0);
}

void check_revision(Connection& connection, const std::string& revision) {
  if (revision == kRevision) return;
  throw IoError(
      connection.name(),
      fmt::format("the schema's revision is {}, expected Optuna's {}; raise an older one with "
                  "'optuna storage upgrade', open a newer one with a newer hone, or name another "
                  "database",
                  revision, kRevision));
}

}  // namespace

void prepare_schema(Connection& connection, double patience) {
  Layout layout = layout_of(connection);
  if (!has_optuna_table(layout)) {
    connection.begin_write();
    connection.lock_schema();
    layout = layout_of(connection);
    if (!has_optuna_table(layout)) {
      if (!layout.empty() && !connection.shared()) {
        throw IoError(connection.name(), "is another program's database, with the table " +
                                             layout.begin()->first + "; name another file");
      }
      create(connection);
    }
    connection.commit(Deadline(patience));
  }
  // Optuna makes its tables one after the other, the revision last: it may be at it just now.
  const Deadline making(std::min(patience, 2.0));
  for (;;) {
    layout = layout_of(connection);
    const std::string revision = layout.contains("alembic_version") ? revision_of(connection) : "";
    if (!revision.empty()) check_revision(connection, revision);
    std::string gap = missing(layout);
    if (gap.empty() && revision.empty()) gap = "the row of alembic_version";
    if (gap.empty()) return;
    if (making.passed()) {
      throw IoError(connection.name(), gap +
                                           " is missing: it is no Optuna database, or a damaged "
                                           "one; name another or restore a copy");
    }
    std::this_thread::sleep_for(50ms);
  }
}

}  // namespace hone::tune::detail
