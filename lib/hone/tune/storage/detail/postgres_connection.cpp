#include "hone/tune/storage/detail/postgres_connection.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <string_view>
#include <thread>

#include "hone/core/log.h"

namespace hone::tune::detail {
namespace {

using namespace std::chrono_literals;

/// A server or a network that hangs is noticed within a minute or so. The URL may say otherwise.
constexpr const char* kDefaults[][2] = {
    {"application_name", "hone"},  {"connect_timeout", "10"}, {"keepalives_idle", "30"},
    {"keepalives_interval", "10"}, {"keepalives_count", "3"}, {"tcp_user_timeout", "60000"}};

/// libpq's messages come in lines.
std::string one_line(std::string_view message) {
  while (message.ends_with('\n')) message.remove_suffix(1);
  std::string line;
  for (const char c : message) {
    if (c != '\t') line += c == '\n' ? ' ' : c;
  }
  return line;
}

/// The URL without a password.
std::string shown(const std::string& url) {
  char* why = nullptr;
  PQconninfoOption* options = PQconninfoParse(url.c_str(), &why);
  if (!options) {
    std::string reason = one_line(why ? why : "out of memory");
    PQfreemem(why);
    // It may quote the URL, which may hold a password.
    if (const size_t at = reason.find(url); at != std::string::npos) {
      reason.replace(at, url.size(), "...");
    }
    throw IoError("postgresql://", reason + "; expected postgresql://user@host/database");
  }
  const auto value = [&](std::string_view key) {
    for (const PQconninfoOption* option = options; option->keyword; ++option) {
      if (key == option->keyword && option->val) return std::string(option->val);
    }
    return std::string();
  };
  std::string text = "postgresql://";
  if (const std::string user = value("user"); !user.empty()) text += user + "@";
  text += value("host");
  if (const std::string port = value("port"); !port.empty()) text += ":" + port;
  text += "/" + value("dbname");
  PQconninfoFree(options);
  return text;
}

SqlValue cell(const PGresult* result, int row, int column) {
  constexpr Oid kInt8 = 20, kInt2 = 21, kInt4 = 23, kFloat4 = 700, kFloat8 = 701;
  if (PQgetisnull(result, row, column)) return {};
  const std::string_view text(PQgetvalue(result, row, column),
                              static_cast<size_t>(PQgetlength(result, row, column)));
  switch (PQftype(result, column)) {
    case kInt2:
    case kInt4:
    case kInt8: {
      int64_t value = 0;
      std::from_chars(text.data(), text.data() + text.size(), value);
      return value;
    }
    case kFloat4:
    case kFloat8: {
      double value = 0;
      std::from_chars(text.data(), text.data() + text.size(), value);
      return value;
    }
    default:
      return std::string(text);
  }
}

/// A field of a result's error; "" where there is none.
std::string error_field(const PGresult* result, int code) {
  const char* text = result ? PQresultErrorField(result, code) : nullptr;
  return text ? text : "";
}

}  // namespace

SqlTypes PostgresConnection::types() const {
  constexpr const char* kEnums = R"(
CREATE TYPE studydirection AS ENUM ('NOT_SET', 'MINIMIZE', 'MAXIMIZE');
CREATE TYPE trialstate AS ENUM ('RUNNING', 'COMPLETE', 'PRUNED', 'FAIL', 'WAITING');
CREATE TYPE trialvaluetype AS ENUM ('FINITE', 'INF_POS', 'INF_NEG');
CREATE TYPE trialintermediatevaluetype AS ENUM ('FINITE', 'INF_POS', 'INF_NEG', 'NAN');
)";
  return {kEnums,
          "SERIAL",
          "TIMESTAMP WITHOUT TIME ZONE",
          "DOUBLE PRECISION",
          "studydirection",
          "trialstate",
          "trialvaluetype",
          "trialintermediatevaluetype"};
}

PostgresConnection::PostgresConnection(const std::string& url, double patience)
    : url_(url), patience_(patience) {
  name_ = shown(url);
}

PostgresConnection::~PostgresConnection() { close(); }

void PostgresConnection::close() noexcept {
  PQfinish(session_);
  session_ = nullptr;
  statements_.clear();
}

void PostgresConnection::abandon() noexcept {
  // PQfinish would end the parent's session.
  if (session_) ::close(PQsocket(session_));
  session_ = nullptr;
}

void PostgresConnection::connect() {
  std::vector<const char*> keys, values;
  for (const auto& [key, value] : kDefaults) {
    keys.push_back(key);
    values.push_back(value);
  }
  keys.insert(keys.end(), {"dbname", "client_encoding", nullptr});
  values.insert(values.end(), {url_.c_str(), "UTF8", nullptr});
  session_ = PQconnectdbParams(keys.data(), values.data(), 1);
  if (PQstatus(session_) != CONNECTION_OK) {
    const std::string why = one_line(PQerrorMessage(session_));
    close();
    const bool full = why.find("too many") != std::string::npos ||
                      why.find("connection slots") != std::string::npos;
    const bool starting = PQpingParams(keys.data(), values.data(), 1) == PQPING_REJECT;
    if (was_connected_ || starting || full) throw Transient(why);
    throw IoError(name_, why + "; the server must run and the database exist");
  }
  was_connected_ = true;
  PQsetNoticeProcessor(
      session_, [](void*, const char* text) { log_info(one_line(text)); }, nullptr);
  const int64_t patience_ms = std::max<int64_t>(1, std::llround(patience_ * 1000));
  // A process that is stopped within a transaction does not keep its locks for ever.
  execute(
      fmt::format("SET datestyle = 'ISO'; SET extra_float_digits = 3; SET lock_timeout = {}; "
                  "SET idle_in_transaction_session_timeout = {}",
                  patience_ms, patience_ms));
}

void PostgresConnection::reconnect() {
  if (session_ && PQstatus(session_) == CONNECTION_OK &&
      PQtransactionStatus(session_) == PQTRANS_IDLE) {
    return;
  }
  close();
  connect();
}

bool PostgresConnection::lost(const PGresult* result) const {
  const std::string state = error_field(result, PG_DIAG_SQLSTATE);
  return PQstatus(session_) != CONNECTION_OK || state.empty() || state.starts_with("08") ||
         state.starts_with("57P");
}

void PostgresConnection::fail(const PGresult* result) {
  const std::string state = error_field(result, PG_DIAG_SQLSTATE);
  std::string why = error_field(result, PG_DIAG_MESSAGE_PRIMARY);
  if (why.empty()) why = one_line(PQerrorMessage(session_));
  if (const std::string detail = error_field(result, PG_DIAG_MESSAGE_DETAIL); !detail.empty()) {
    why += " (" + detail + ")";
  }
  if (lost(result)) {
    close();
    throw Transient("lost the connection: " + why);
  }
  const bool deadlock = state == "40001" || state == "40P01";
  // Another client, not hone, has made the same row or table between a look and the write.
  const bool raced = state == "23505" || state == "42P07" || state == "42710";
  if (deadlock || raced) throw Transient(why);
  if (state == "55P03") {
    throw IoError(name_, fmt::format("is locked by another client for more than {} s; "
                                     "pg_stat_activity names it",
                                     patience_));
  }
  throw IoError(name_, why + "; this write was not stored, all earlier ones are");
}

PostgresConnection::Result PostgresConnection::run(PGresult* raw) {
  Result result(raw);
  const ExecStatusType status = PQresultStatus(raw);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail(raw);
  return result;
}

void PostgresConnection::execute(const std::string& sql) { run(PQexec(session_, sql.c_str())); }

const std::string& PostgresConnection::prepared(const std::string& sql) {
  const auto found = statements_.find(sql);
  if (found != statements_.end()) return found->second;
  const std::string name = fmt::format("hone_{}", statements_.size());
  run(PQprepare(session_, name.c_str(), sql.c_str(), 0, nullptr));
  return statements_[sql] = name;
}

Rows PostgresConnection::query(const std::string& sql, const std::vector<SqlValue>& parameters) {
  const std::string& statement = prepared(sql);
  std::vector<std::string> texts(parameters.size());
  std::vector<const char*> values(parameters.size(), nullptr);
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (const auto* integer = std::get_if<int64_t>(&parameters[i])) {
      texts[i] = std::to_string(*integer);
    } else if (const auto* real = std::get_if<double>(&parameters[i])) {
      texts[i] = fmt::format("{}", *real);  // the shortest text that reads back the same
    } else if (const auto* text = std::get_if<std::string>(&parameters[i])) {
      texts[i] = *text;
    } else {
      continue;
    }
    values[i] = texts[i].c_str();
  }
  const Result result =
      run(PQexecPrepared(session_, statement.c_str(), static_cast<int>(values.size()),
                         values.data(), nullptr, nullptr, 0));
  const int columns = PQnfields(result.get());
  std::vector<std::string> names;
  for (int i = 0; i < columns; ++i) names.emplace_back(PQfname(result.get(), i));
  Rows rows(name_, std::move(names));
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    for (int i = 0; i < columns; ++i) rows.add(cell(result.get(), row, i));
  }
  return rows;
}

void PostgresConnection::begin_write() {
  const Result result = run(PQexec(session_, "BEGIN; SELECT txid_current()"));
  transaction_ = PQgetvalue(result.get(), 0, 0);
}

/// A commit whose acknowledgement is lost may have happened: the server remembers.
void PostgresConnection::commit(const Deadline& deadline) {
  const Result result(PQexec(session_, "COMMIT"));
  if (PQresultStatus(result.get()) == PGRES_COMMAND_OK) {
    if (PQcmdStatus(result.get()) == std::string_view("COMMIT")) return;
    throw Transient("the server rolled the transaction back");
  }
  if (!lost(result.get())) fail(result.get());
  close();
  for (;; std::this_thread::sleep_for(200ms)) {
    try {
      reconnect();
      // A server that crashed before the transaction was written has not even its number.
      const Rows rows = query(
          "SELECT CASE WHEN $1::bigint >= txid_snapshot_xmax(txid_current_snapshot()) "
          "THEN 'aborted' ELSE txid_status($1::bigint) END",
          {SqlValue(std::stoll(transaction_))});
      const std::string status = rows.null(0, 0) ? "" : rows.text(0, 0);
      if (status == "committed") return;
      if (status == "aborted") throw Transient("lost the connection at the commit");
    } catch (const Transient&) {
      if (session_ && PQstatus(session_) == CONNECTION_OK) throw;
    }
    if (deadline.passed()) {
      throw IoError(name_, fmt::format("lost the connection at a commit and found no server for "
                                       "{} s: whether the last write is stored is not known; look "
                                       "when the server is back",
                                       patience_));
    }
  }
}

void PostgresConnection::rollback() noexcept {
  if (!session_) return;
  const PGTransactionStatusType status = PQtransactionStatus(session_);
  if (status == PQTRANS_INTRANS || status == PQTRANS_INERROR) {
    PQclear(PQexec(session_, "ROLLBACK"));
  }
}

void PostgresConnection::lock_schema() {
  constexpr int64_t kHone = 0x686f6e65;  // "hone"
  query("SELECT pg_advisory_xact_lock($1)", {kHone});
}

SqlValue PostgresConnection::ids(const std::vector<int64_t>& ids) const {
  return fmt::format("{{{}}}", fmt::join(ids, ","));
}

}  // namespace hone::tune::detail
