/// What the storage needs of a database: one interface, two drivers (SQLite, PostgreSQL).
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "hone/core/error.h"

namespace hone::tune::detail {

/// What a statement takes and gives: NULL, integer, real or text.
using SqlValue = std::variant<std::monostate, int64_t, double, std::string>;

/// The rows of a result. Readers throw IoError, naming database, place and content, where a cell
/// holds something else than the schema says: SQLite checks no types.
class Rows {
 public:
  Rows(std::string database, std::vector<std::string> columns)
      : database_(std::move(database)), columns_(std::move(columns)) {}

  size_t size() const { return columns_.empty() ? 0 : cells_.size() / columns_.size(); }
  bool empty() const { return cells_.empty(); }
  void add(SqlValue cell) { cells_.push_back(std::move(cell)); }

  bool null(size_t row, size_t column) const {
    return std::holds_alternative<std::monostate>(at(row, column));
  }
  int64_t integer(size_t row, size_t column) const;
  double real(size_t row, size_t column) const;
  const std::string& text(size_t row, size_t column) const;

  /// An IoError about the cell.
  [[noreturn]] void broken(size_t row, size_t column, const std::string& why) const;

 private:
  const SqlValue& at(size_t row, size_t column) const {
    return cells_[row * columns_.size() + column];
  }

  std::string database_;
  std::vector<std::string> columns_;
  std::vector<SqlValue> cells_;
};

/// The transaction did not happen, through no fault of its own: a lock, a deadlock, a lost
/// connection. It may be tried again.
class Transient : public Error {
 public:
  using Error::Error;
};

/// A moment after which nothing is tried again.
class Deadline {
 public:
  explicit Deadline(double seconds)
      : end_(Clock::now() +
             std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {}
  bool passed() const { return Clock::now() >= end_; }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point end_;
};

/// The types in which databases differ, as Optuna's tables have them there.
struct SqlTypes {
  std::string made_first;  ///< statements that make the types, before all tables
  std::string id, time, real, direction, state, value, intermediate_value;
};

/// One connection. Statements name their parameters $1, $2, ... in the order of first use and are
/// kept prepared. All throw: IoError, or Transient.
class Connection {
 public:
  virtual ~Connection() = default;

  /// The database, for messages; without a password.
  const std::string& name() const { return name_; }

  virtual Rows query(const std::string& sql, const std::vector<SqlValue>& parameters = {}) = 0;
  /// Statements without parameters and results.
  virtual void execute(const std::string& sql) = 0;

  /// One snapshot for several queries; ended by rollback().
  virtual void begin_read() = 0;
  /// Writes that happen whole at commit().
  virtual void begin_write() = 0;
  /// Returns only if the transaction has happened; Transient only if it has not.
  virtual void commit(const Deadline& deadline) = 0;
  /// Never throws; does nothing outside a transaction.
  virtual void rollback() noexcept = 0;
  /// Connects if there is no usable connection. Throws: Transient.
  virtual void reconnect() = 0;
  /// Forgets the connection without a word to the database: it belongs to the parent process.
  virtual void abandon() noexcept = 0;

  /// " FOR UPDATE" where rows are locked.
  virtual std::string for_update() const = 0;
  /// " FOR NO KEY UPDATE SKIP LOCKED" where rows are locked.
  virtual std::string skip_locked() const = 0;
  /// The condition that `column` is one of the ids in the parameter, which ids() makes.
  virtual std::string is_among(const std::string& column, const std::string& parameter) const = 0;
  virtual SqlValue ids(const std::vector<int64_t>& ids) const = 0;
  /// Seconds since the time in `column`, by the database's clock.
  virtual std::string seconds_since(const std::string& column) const = 0;
  /// A query for the pairs (table, column) of the database.
  virtual std::string layout_query() const = 0;
  virtual SqlTypes types() const = 0;
  /// Whether tables of other programs may lie beside Optuna's.
  virtual bool shared() const = 0;
  /// Keeps others from making the tables at the same time, within a write transaction.
  virtual void lock_schema() = 0;

 protected:
  std::string name_;
};

}  // namespace hone::tune::detail
