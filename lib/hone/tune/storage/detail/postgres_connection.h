#pragma once
#include <libpq-fe.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "hone/tune/storage/detail/sql_connection.h"

namespace hone::tune::detail {

/// A PostgreSQL (10 or newer) session with prepared statements; a pooler in between must pool
/// sessions. Connects at the first reconnect().
class PostgresConnection : public Connection {
 public:
  /// Locks are waited for `patience` seconds. Throws: IoError if the URL is none.
  PostgresConnection(const std::string& url, double patience);
  ~PostgresConnection() override;
  PostgresConnection(const PostgresConnection&) = delete;

  Rows query(const std::string& sql, const std::vector<SqlValue>& parameters) override;
  void execute(const std::string& sql) override;
  void begin_read() override { execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); }
  void begin_write() override;
  void commit(const Deadline& deadline) override;
  void rollback() noexcept override;
  void reconnect() override;
  void abandon() noexcept override;

  std::string for_update() const override { return " FOR UPDATE"; }
  std::string skip_locked() const override { return " FOR NO KEY UPDATE SKIP LOCKED"; }
  std::string is_among(const std::string& column, const std::string& parameter) const override {
    return column + " = ANY (" + parameter + ")";
  }
  SqlValue ids(const std::vector<int64_t>& ids) const override;
  /// Times without a zone are in the session's zone, which is left as the server has it: so does
  /// Optuna.
  std::string seconds_since(const std::string& column) const override {
    return "EXTRACT(EPOCH FROM LOCALTIMESTAMP - " + column + ")::double precision";
  }
  std::string layout_query() const override {
    return "SELECT table_name, column_name FROM information_schema.columns "
           "WHERE table_schema = ANY (current_schemas(false))";
  }
  SqlTypes types() const override;
  bool shared() const override { return true; }
  void lock_schema() override;

 private:
  struct Clear {
    void operator()(PGresult* result) const { PQclear(result); }
  };
  using Result = std::unique_ptr<PGresult, Clear>;

  void connect();
  void close() noexcept;
  Result run(PGresult* result);
  /// Whether an error is of the connection, not of the statement: libpq's own errors have no state,
  /// and a server that shuts down says so before the session is closed.
  bool lost(const PGresult* result) const;
  [[noreturn]] void fail(const PGresult* result);
  /// The server's name for the statement.
  const std::string& prepared(const std::string& sql);

  const std::string url_;
  const double patience_;
  PGconn* session_ = nullptr;
  bool was_connected_ = false;
  /// By SQL, of this session.
  std::unordered_map<std::string, std::string> statements_;
  /// Of the write transaction that is open, for when its commit is not acknowledged.
  std::string transaction_;
};

}  // namespace hone::tune::detail
