#pragma once
#include <sqlite3.h>

#include <string>
#include <unordered_map>
#include <vector>

#include "hone/tune/storage/detail/sql_connection.h"

namespace hone::tune::detail {

/// A SQLite file. New files keep SQLite's rollback journal (journal_mode=DELETE): readers wait for
/// writers and each commit costs some fsyncs, but the file alone is the whole study, which is what
/// dashboards that read it in a browser need. The mode of a file that exists is left as it is.
class SqliteConnection : public Connection {
 public:
  /// Locks are waited for `patience` seconds.
  SqliteConnection(const std::string& path, double patience);
  ~SqliteConnection() override;
  SqliteConnection(const SqliteConnection&) = delete;

  Rows query(const std::string& sql, const std::vector<SqlValue>& parameters) override;
  void execute(const std::string& sql) override;
  void begin_read() override { query("BEGIN", {}); }
  void begin_write() override { query("BEGIN IMMEDIATE", {}); }
  void commit(const Deadline& deadline) override;
  void rollback() noexcept override;
  void reconnect() override {}
  void abandon() noexcept override;

  std::string for_update() const override { return ""; }
  std::string skip_locked() const override { return ""; }
  std::string is_among(const std::string& column, const std::string& parameter) const override {
    return column + " IN (SELECT value FROM json_each(" + parameter + "))";
  }
  SqlValue ids(const std::vector<int64_t>& ids) const override;
  std::string seconds_since(const std::string& column) const override {
    return "(julianday(CURRENT_TIMESTAMP) - julianday(" + column + ")) * 86400.0";
  }
  std::string layout_query() const override {
    return "SELECT m.name, p.name FROM sqlite_master m, pragma_table_info(m.name) p "
           "WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'";
  }
  SqlTypes types() const override;
  bool shared() const override { return false; }
  void lock_schema() override {}

 private:
  static int wait(void* self, int count);
  sqlite3_stmt* prepared(const std::string& sql);
  [[noreturn]] void fail(int code);

  const std::string path_;
  const double patience_;
  std::chrono::steady_clock::time_point waiting_since_;
  sqlite3* db_ = nullptr;
  std::unordered_map<std::string, sqlite3_stmt*> statements_;
};

}  // namespace hone::tune::detail
