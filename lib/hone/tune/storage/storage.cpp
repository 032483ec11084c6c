#include "hone/tune/storage/storage.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "hone/tune/storage/detail/postgres_connection.h"
#include "hone/tune/storage/detail/sql_storage.h"
#include "hone/tune/storage/detail/sqlite_connection.h"

namespace hone::tune {
namespace {

using detail::Connection;

/// "sqlite:///relative", "sqlite:////absolute", also "sqlite+pysqlite:///", as SQLAlchemy has it.
std::string sqlite_path(const std::string& url, std::string_view rest) {
  if (!rest.starts_with("/") || rest.size() == 1) {
    throw IoError(url, "names no file; expected sqlite:///relative.db or sqlite:////absolute.db");
  }
  if (rest.find('?') != std::string_view::npos) {
    throw IoError(url, "options after '?' are not supported for SQLite; leave them out");
  }
  return std::string(rest.substr(1));
}

std::unique_ptr<Connection> connect(const std::string& url, const StorageOptions& options) {
  const size_t scheme_end = url.find("://");
  if (scheme_end == std::string::npos) {
    if (url.empty()) throw IoError("storage", "the URL is empty; name a file or a database");
    return std::make_unique<detail::SqliteConnection>(url, options.patience);
  }
  // "dialect+driver"; the driver is Python's.
  const std::string dialect = url.substr(0, std::min(url.find('+'), scheme_end));
  const std::string rest = url.substr(scheme_end + 3);
  if (dialect == "sqlite") {
    return std::make_unique<detail::SqliteConnection>(sqlite_path(url, rest), options.patience);
  }
  if (dialect == "postgresql" || dialect == "postgres") {
    return std::make_unique<detail::PostgresConnection>("postgresql://" + rest, options.patience);
  }
  throw IoError(dialect + "://", "no such database; expected sqlite:// or postgresql://");
}

}  // namespace

std::unique_ptr<Storage> open_storage(const std::string& url, const StorageOptions& options) {
  return std::make_unique<detail::SqlStorage>(connect(url, options), options);
}

}  // namespace hone::tune
