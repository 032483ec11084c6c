#include "hone/config/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "hone/config/detail/other_names.h"
#include "hone/core/keys.h"

namespace hone::config::detail {
namespace {

std::string wanted(const Range& range) {
  const bool low = std::isfinite(range.min), high = std::isfinite(range.max);
  if (low && high) return fmt::format("must be in [{}, {}]", range.min, range.max);
  return low ? fmt::format("must be at least {}", range.min)
             : fmt::format("must be at most {}", range.max);
}

/// Whether `path` is `key`, or lies below it.
bool at_or_below(const std::string& path, const std::string& key) {
  return path.compare(0, key.size(), key) == 0 &&
         (path.size() == key.size() || path[key.size()] == '/');
}

}  // namespace

void Reading::problem(const std::string& path, std::string message) {
  refused_.insert(path);
  problems_.push_back({path, std::move(message)});
}

void Reading::check_keys(const Json& object, const std::string& path,
                         const std::vector<std::string>& known) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    if (path.empty() && key == "$schema" && value.is_string()) continue;
    std::string message = "unknown key" + hint(key, known, keys_());
    if (message == "unknown key") message += did_you_mean(key, known);
    if (message == "unknown key") message += fmt::format("; known: {}", fmt::join(known, ", "));
    problem(path + "/" + pointer_step(key), std::move(message));
  }
}

bool Reading::expect_object(const Json& json, const std::string& path) {
  if (!json.is_object()) problem(path, "expected object, got " + shown(json));
  return json.is_object();
}

bool Reading::expect_list(const Json& json, const std::string& path) {
  if (!json.is_array()) problem(path, "expected list, got " + shown(json));
  return json.is_array();
}

std::optional<bool> Reading::read_bool(const Json& json, const std::string& path) {
  if (json.is_boolean()) return json.get<bool>();
  problem(path, "expected true or false, got " + shown(json));
  return std::nullopt;
}

std::optional<int64_t> Reading::read_integer(const Json& json, const std::string& path,
                                             const std::optional<Range>& range) {
  constexpr double kExact = 9007199254740992.0;  // 2^53: above it a float is no exact integer
  constexpr uint64_t kHighest = std::numeric_limits<int64_t>::max();
  const double number = json.is_number() ? json.get<double>() : 0.5;
  if (std::trunc(number) != number) {
    problem(path, "expected integer, got " + shown(json));
  } else if (range && !(number >= range->min && number <= range->max)) {
    problem(path, wanted(*range) + ", got " + shown(json));
  } else if (json.is_number_float()
                 ? std::abs(number) > kExact
                 : json.is_number_unsigned() && json.get<uint64_t>() > kHighest) {
    problem(path, "expected integer of 64 bits written in digits, got " + shown(json));
  } else {
    return json.get<int64_t>();
  }
  return std::nullopt;
}

std::optional<double> Reading::read_double(const Json& json, const std::string& path,
                                           const std::optional<Range>& range) {
  if (!json.is_number()) {
    problem(path, "expected number, got " + shown(json));
    return std::nullopt;
  }
  const double value = json.get<double>();
  if (!range || (value >= range->min && value <= range->max)) return value;
  problem(path, wanted(*range) + ", got " + shown(json));
  return std::nullopt;
}

std::optional<std::string> Reading::read_string(const Json& json, const std::string& path) {
  if (json.is_string()) return json.get<std::string>();
  problem(path, "expected string, got " + shown(json));
  return std::nullopt;
}

std::optional<size_t> Reading::read_name(const Json& json, const std::string& path,
                                         const std::vector<std::string>& names) {
  const std::string name = json.is_string() ? json.get<std::string>() : "";
  const auto found = std::find(names.begin(), names.end(), name);
  if (json.is_string() && found != names.end()) return found - names.begin();
  problem(path, fmt::format("expected one of {}, got {}{}", fmt::join(names, ", "), shown(json),
                            json.is_string() ? did_you_mean(name, names) : ""));
  return std::nullopt;
}

void Reading::add_validated(std::vector<Problem> found) {
  for (Problem& problem : found) {
    const bool known = std::any_of(refused_.begin(), refused_.end(), [&](const auto& refused) {
      return at_or_below(problem.path, refused);
    });
    if (!known) problems_.push_back(std::move(problem));
  }
}

void Reading::finish() {
  if (!problems_.empty()) throw ConfigError(std::move(problems_));
}

}  // namespace hone::config::detail
