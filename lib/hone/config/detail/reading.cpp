#include "hone/config/detail/reading.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace hone::config::detail {
namespace {

/// How a message names the value that came.
std::string shown(const Json& json) {
  if (json.is_object()) return "an object";
  if (json.is_array()) return "a list";
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) {
    size_t end = 57;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    text = text.substr(0, end) + "...";
  }
  return text;
}

std::string shown(const Range& range) {
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

std::string pointer_step(std::string_view key) {
  std::string step;
  for (const char c : key) {
    if (c == '~') {
      step += "~0";
    } else if (c == '/') {
      step += "~1";
    } else {
      step += c;
    }
  }
  return step;
}

void Reading::problem(const std::string& path, std::string message) {
  refused_.insert(path);
  problems_.push_back({path, std::move(message)});
}

void Reading::check_keys(const Json& object, const std::string& path,
                         const std::vector<std::string>& known) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    if (path.empty() && key == "$schema" && value.is_string()) continue;
    std::string message = "unknown key" + did_you_mean(key, known);
    if (!nearest_name(key, known)) message += fmt::format("; known: {}", fmt::join(known, ", "));
    problem(path + "/" + pointer_step(key), std::move(message));
  }
}

void Reading::missing(const std::string& path, const std::string& help) {
  problem(path, "required key is missing: " + help);
}

bool Reading::expect_object(const Json& json, const std::string& path) {
  if (!json.is_object()) problem(path, "expected object, got " + shown(json));
  return json.is_object();
}

bool Reading::expect_list(const Json& json, const std::string& path) {
  if (!json.is_array()) problem(path, "expected list, got " + shown(json));
  return json.is_array();
}

bool Reading::read_bool(const Json& json, const std::string& path, bool& value) {
  if (!json.is_boolean()) {
    problem(path, "expected true or false, got " + shown(json));
    return false;
  }
  value = json.get<bool>();
  return true;
}

bool Reading::read_integer(const Json& json, const std::string& path,
                           const std::optional<Range>& range, int64_t lowest, int64_t highest,
                           int64_t& value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53: above it a float is no exact integer
  if (json.is_number_float()) {
    const double number = json.get<double>();
    if (std::trunc(number) != number || std::abs(number) > kExact) {
      problem(path, "expected integer, got " + shown(json));
      return false;
    }
    value = static_cast<int64_t>(number);
  } else if (json.is_number_unsigned() &&
             json.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()}) {
    problem(path, "must fit into 63 bits, got " + shown(json));
    return false;
  } else if (json.is_number_integer()) {
    value = json.get<int64_t>();
  } else {
    problem(path, "expected integer, got " + shown(json));
    return false;
  }
  if (range &&
      (static_cast<double>(value) < range->min || static_cast<double>(value) > range->max)) {
    problem(path, shown(*range) + ", got " + shown(json));
    return false;
  }
  if (value < lowest || value > highest) {
    problem(path, fmt::format("must be in [{}, {}], got {}", lowest, highest, shown(json)));
    return false;
  }
  return true;
}

bool Reading::read_double(const Json& json, const std::string& path,
                          const std::optional<Range>& range, double& value) {
  if (!json.is_number()) {
    problem(path, "expected number, got " + shown(json));
    return false;
  }
  value = json.get<double>();
  if (range && !(value >= range->min && value <= range->max)) {
    problem(path, shown(*range) + ", got " + shown(json));
    return false;
  }
  return true;
}

bool Reading::read_string(const Json& json, const std::string& path, std::string& value) {
  if (!json.is_string()) {
    problem(path, "expected string, got " + shown(json));
    return false;
  }
  value = json.get<std::string>();
  return true;
}

bool Reading::read_enum(const Json& json, const std::string& path,
                        const std::vector<std::string>& names, std::string& value) {
  const bool known = json.is_string() &&
                     std::find(names.begin(), names.end(), json.get<std::string>()) != names.end();
  if (!known) {
    std::string message =
        fmt::format("expected one of {}, got {}", fmt::join(names, ", "), shown(json));
    if (json.is_string()) message += did_you_mean(json.get<std::string>(), names);
    problem(path, std::move(message));
    return false;
  }
  value = json.get<std::string>();
  return true;
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
