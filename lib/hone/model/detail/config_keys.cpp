#include "hone/model/detail/config_keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace hone::model::detail {
namespace {

std::string shown(const Json& value) {
  std::string text = value.dump();
  if (text.size() > 60) text.replace(57, std::string::npos, "...");
  return text;
}

}  // namespace

const Json* ConfigKeys::find(const std::string& key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<int64_t> ConfigKeys::integer(const std::string& key, int64_t min, int64_t max) {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_number()) {
    problem(key, "expected integer, got " + shown(*value));
  } else if (const auto size = value->get<double>();
             size < static_cast<double>(min) || size > static_cast<double>(max)) {
    problem(key, fmt::format("must be in [{}, {}], got {}", min, max, shown(*value)));
  } else if (!value->is_number_integer()) {
    problem(key, "expected integer, got " + shown(*value));
  } else {
    return value->get<int64_t>();
  }
  return std::nullopt;
}

std::optional<double> ConfigKeys::number(const std::string& key, double min, double max) {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_number()) {
    problem(key, "expected number, got " + shown(*value));
  } else if (const auto number = value->get<double>(); !(number >= min && number <= max)) {
    problem(key, fmt::format("must be in [{}, {}], got {}", min, max, number));
  } else {
    return number;
  }
  return std::nullopt;
}

std::optional<bool> ConfigKeys::flag(const std::string& key) {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  problem(key, "expected true or false, got " + shown(*value));
  return std::nullopt;
}

std::optional<std::string> ConfigKeys::text(const std::string& key) {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  problem(key, "expected string, got " + shown(*value));
  return std::nullopt;
}

int64_t ConfigKeys::required_integer(const std::string& key, int64_t min, int64_t max) {
  if (!find(key)) problem(key, "is missing");
  return integer(key, min, max).value_or(min);
}

double ConfigKeys::required_number(const std::string& key, double min, double max) {
  if (!find(key)) problem(key, "is missing");
  return number(key, min, max).value_or(min);
}

std::string join(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace hone::model::detail
