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

/// Optuna's tables as SQLAlchemy writes them, but for the types that databases differ in
/// (SqlTypes); constraints and indexes get the database's default names.
constexpr const char* kTables = R"(
CREATE TABLE studies (
	study_id {id} NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
CREATE TABLE study_directions (
	study_direction_id {id} NOT NULL, 
	direction {direction} NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id {id} NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_system_attributes (
	study_system_attribute_id {id} NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE trials (
	trial_id {id} NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state {state} NOT NULL, 
	datetime_start {time}, 
	datetime_complete {time}, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE INDEX ix_trials_study_id ON trials (study_id);
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id {id} NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id {id} NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_params (
	param_id {id} NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value {real}, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_values (
	trial_value_id {id} NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value {real}, 
	value_type {value_type} NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id {id} NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value {real}, 
	intermediate_value_type {intermediate_type} NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id {id} NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat {time} NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
)";

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

std::string tables_of(const SqlTypes& types) {
  return types.made_first +
         fmt::format(kTables, fmt::arg("id", types.id), fmt::arg("time", types.time),
                     fmt::arg("real", types.real), fmt::arg("direction", types.direction),
                     fmt::arg("state", types.state), fmt::arg("value_type", types.value),
                     fmt::arg("intermediate_type", types.intermediate_value));
}

void create(Connection& connection) {
  connection.execute(tables_of(connection.types()));
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
