#include "hone/tune/storage/detail/sql_connection.h"

#include <fmt/format.h>

#include "hone/core/json.h"
#include "hone/core/utf8.h"

namespace hone::tune::detail {

int64_t Rows::integer(size_t row, size_t column) const {
  if (const auto* value = std::get_if<int64_t>(&at(row, column))) return *value;
  broken(row, column, "an integer is expected");
}

double Rows::real(size_t row, size_t column) const {
  if (const auto* value = std::get_if<double>(&at(row, column))) return *value;
  if (const auto* value = std::get_if<int64_t>(&at(row, column))) {
    return static_cast<double>(*value);
  }
  broken(row, column, "a number is expected");
}

const std::string& Rows::text(size_t row, size_t column) const {
  const auto* value = std::get_if<std::string>(&at(row, column));
  if (!value) broken(row, column, "a text is expected");
  if (!is_utf8(*value)) broken(row, column, "a text in UTF-8 is expected");
  return *value;
}

void Rows::broken(size_t row, size_t column, const std::string& why) const {
  struct Show {
    std::string operator()(std::monostate) const { return "NULL"; }
    std::string operator()(int64_t value) const { return std::to_string(value); }
    std::string operator()(double value) const { return fmt::format("{}", value); }
    std::string operator()(const std::string& value) const {
      const std::string text =
          Json(value.substr(0, 80)).dump(-1, ' ', false, Json::error_handler_t::replace);
      return "'" + text.substr(1, text.size() - 2) + (value.size() > 80 ? "'..." : "'");
    }
  };
  // The first column of every query identifies the row.
  std::string where = columns_[column];
  if (column != 0) {
    where += fmt::format(" of the row with {} {}", columns_[0], std::visit(Show(), at(row, 0)));
  }
  throw IoError(database_, fmt::format("{} holds {}: {}; mend or delete the row, or restore a copy "
                                       "of the database",
                                       where, std::visit(Show(), at(row, column)), why));
}

}  // namespace hone::tune::detail
