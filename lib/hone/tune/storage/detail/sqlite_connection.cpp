#include "hone/tune/storage/detail/sqlite_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <thread>

namespace hone::tune::detail {
SqlTypes SqliteConnection::types() const {
  return {"",           "INTEGER",    "DATETIME",   "FLOAT",
          "VARCHAR(8)", "VARCHAR(8)", "VARCHAR(7)", "VARCHAR(7)"};
}

SqliteConnection::SqliteConnection(const std::string& path, double patience)
    : path_(path), patience_(patience) {
  name_ = path;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2(path.c_str(), &db_, flags, nullptr) != SQLITE_OK) {
    std::string why = sqlite3_errmsg(db_);
    const int error = sqlite3_system_errno(db_);
    if (error != 0) why += fmt::format(" ({})", std::strerror(error));
    sqlite3_close(db_);
    throw IoError(name_, why + "; the folder must exist and be writable");
  }
  sqlite3_extended_result_codes(db_, 1);
  sqlite3_busy_handler(db_, wait, this);
}

SqliteConnection::~SqliteConnection() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(db_);
}

void SqliteConnection::abandon() noexcept {
  statements_.clear();
  db_ = nullptr;
}

/// Sleeps a random while, so that no waiting process is always late; SQLite's own handler grows to
/// steps of 100 ms.
int SqliteConnection::wait(void* self, int count) {
  auto& connection = *static_cast<SqliteConnection*>(self);
  const auto now = std::chrono::steady_clock::now();
  if (count == 0) connection.waiting_since_ = now;
  if (now - connection.waiting_since_ > std::chrono::duration<double>(connection.patience_)) {
    return 0;
  }
  thread_local std::minstd_rand random(std::random_device{}());
  const double longest = std::min(0.5 * (count + 1), 10.0);  // ms
  std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(
      std::uniform_real_distribution<double>(0.1, longest)(random)));
  return 1;
}

void SqliteConnection::fail(int code) {
  const int primary = code & 0xff;
  std::string why = sqlite3_errmsg(db_);
  const int error = sqlite3_system_errno(db_);
  if (primary == SQLITE_CANTOPEN && error != 0) why += fmt::format(" ({})", std::strerror(error));
  switch (primary) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw IoError(name_, fmt::format("is locked by another process for more than {} s; end the "
                                       "process that holds it (fuser {} names it)",
                                       patience_, path_));
    case SQLITE_NOTADB:
      throw IoError(name_, "is no SQLite database; name another file");
    case SQLITE_CORRUPT:
      throw IoError(name_, why + "; restore a copy, or save what is left with: sqlite3 " + path_ +
                               " .recover");
    case SQLITE_FULL:
      throw IoError(name_,
                    "the disk is full: this write was not stored, all earlier ones are; "
                    "make room and go on");
    case SQLITE_IOERR:
      throw IoError(name_,
                    fmt::format("{} (SQLite code {}): this write was not stored, all earlier "
                                "ones are; look for a quota or a limit on file sizes, or a "
                                "broken disk",
                                why, code));
    case SQLITE_READONLY:
      throw IoError(name_, why + "; the file and its folder must be writable");
    default:
      throw IoError(name_, why + "; this write was not stored, all earlier ones are");
  }
}

sqlite3_stmt* SqliteConnection::prepared(const std::string& sql) {
  sqlite3_stmt*& statement = statements_[sql];
  if (!statement) {
    const int code =
        sqlite3_prepare_v3(db_, sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) fail(code);
  }
  return statement;
}

Rows SqliteConnection::query(const std::string& sql, const std::vector<SqlValue>& parameters) {
  sqlite3_stmt* statement = prepared(sql);
  struct Reset {
    sqlite3_stmt* statement;
    ~Reset() {
      sqlite3_reset(statement);
      sqlite3_clear_bindings(statement);
    }
  } reset{statement};
  for (size_t i = 0; i < parameters.size(); ++i) {
    const int at = static_cast<int>(i) + 1;
    if (const auto* integer = std::get_if<int64_t>(&parameters[i])) {
      sqlite3_bind_int64(statement, at, *integer);
    } else if (const auto* real = std::get_if<double>(&parameters[i])) {
      sqlite3_bind_double(statement, at, *real);
    } else if (const auto* text = std::get_if<std::string>(&parameters[i])) {
      sqlite3_bind_text64(statement, at, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
    }
  }
  int code = sqlite3_step(statement);
  // The first step may have compiled the statement anew for a changed schema.
  const int columns = sqlite3_column_count(statement);
  std::vector<std::string> names;
  for (int i = 0; i < columns; ++i) names.emplace_back(sqlite3_column_name(statement, i));
  Rows rows(name_, std::move(names));
  for (; code == SQLITE_ROW; code = sqlite3_step(statement)) {
    for (int i = 0; i < columns; ++i) {
      switch (sqlite3_column_type(statement, i)) {
        case SQLITE_NULL:
          rows.add({});
          break;
        case SQLITE_INTEGER:
          rows.add(int64_t{sqlite3_column_int64(statement, i)});
          break;
        case SQLITE_FLOAT:
          rows.add(sqlite3_column_double(statement, i));
          break;
        default: {
          const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, i));
          const int size = sqlite3_column_bytes(statement, i);
          rows.add(bytes ? std::string(bytes, size) : std::string());
        }
      }
    }
  }
  if (code != SQLITE_DONE) fail(code);
  return rows;
}

void SqliteConnection::execute(const std::string& sql) {
  const int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code);
}

/// A commit that finds readers in its way waits as BEGIN does, and can then be rolled back.
void SqliteConnection::commit(const Deadline&) { query("COMMIT", {}); }

void SqliteConnection::rollback() noexcept {
  // SQLite has rolled back by itself after some errors.
  if (db_ && !sqlite3_get_autocommit(db_)) {
    sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

SqlValue SqliteConnection::ids(const std::vector<int64_t>& ids) const {
  return fmt::format("[{}]", fmt::join(ids, ","));
}

}  // namespace hone::tune::detail
