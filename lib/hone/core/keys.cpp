#include "hone/core/keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "hone/core/error.h"
#include "hone/core/names.h"
#include "hone/core/utf8.h"

namespace hone {

std::string shown(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  return shortened(value.dump(-1, ' ', false, Json::error_handler_t::replace), 57);
}

std::optional<int64_t> integer_in(const Json& value, int64_t min, int64_t max) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return std::nullopt;
  const auto number = value.get<int64_t>();
  return number >= min && number <= max ? std::optional(number) : std::nullopt;
}

std::string joined(const std::vector<std::string>& problems) {
  return fmt::format("{}", fmt::join(problems, "; "));
}

Keys::Keys(const Json& object, std::string source, std::string place)
    : object_(object), source_(std::move(source)), place_(std::move(place)) {
  if (!object.is_object()) problem("expected object, got " + shown(object));
}

Keys::Keys(const Json& object, std::string place, std::vector<std::string>& problems)
    : object_(object), place_(std::move(place)), problems_(&problems) {
  if (!object.is_object()) problem("expected object, got " + shown(object));
}

Keys Keys::below(const Json& object, const std::string& step) const {
  const std::string place = place_ + "/" + step;
  return problems_ ? Keys(object, place, *problems_) : Keys(object, source_, place);
}

void Keys::problem(const std::string& message) const {
  const std::string text = (place_.empty() ? "/" : place_) + ": " + message;
  if (!problems_) throw IoError(source_, text);
  problems_->push_back(text);
}

void Keys::problem(std::string_view key, const std::string& message) const {
  const std::string text = fmt::format("{}/{}: {}", place_, key, message);
  if (!problems_) throw IoError(source_, text);
  problems_->push_back(text);
}

void Keys::expected(std::string_view key, const char* what, const Json& value) const {
  problem(key, fmt::format("expected {}, got {}", what, shown(value)));
}

const Json* Keys::find(std::string_view key) {
  asked_.emplace_back(key);
  const auto found = object_.find(asked_.back());
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

const Json* Keys::required(std::string_view key) {
  const Json* value = find(key);
  if (!value) problem(key, "is missing");
  return value;
}

std::optional<int64_t> Keys::integer_of(const Json& value, std::string_view key, int64_t min,
                                        int64_t max) const {
  const auto number = integer_in(value, min, max);
  if (number) return number;
  const double size = value.is_number() ? value.get<double>() : min;
  if (value.is_number_integer() || size < min || size > max) {
    problem(key, fmt::format("must be in [{}, {}], got {}", min, max, shown(value)));
  } else {
    expected(key, "integer", value);
  }
  return std::nullopt;
}

std::optional<int64_t> Keys::integer(std::string_view key, int64_t min, int64_t max) {
  const Json* value = find(key);
  return value ? integer_of(*value, key, min, max) : std::nullopt;
}

std::vector<int64_t> Keys::integers(std::string_view key, int64_t min, int64_t max) {
  std::vector<int64_t> numbers;
  const Json* list = find(key);
  if (list && !list->is_array()) expected(key, "list", *list);
  if (!list || !list->is_array()) return numbers;
  for (const Json& value : *list) {
    const auto number = integer_of(value, fmt::format("{}/{}", key, numbers.size()), min, max);
    if (!number) return {};
    numbers.push_back(*number);
  }
  return numbers;
}

std::optional<double> Keys::number(std::string_view key, double min, double max) {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_number()) {
    expected(key, "number", *value);
  } else if (const auto number = value->get<double>(); !(number >= min && number <= max)) {
    problem(key, fmt::format("must be in [{}, {}], got {}", min, max, number));
  } else {
    return number;
  }
  return std::nullopt;
}

std::optional<bool> Keys::flag(std::string_view key) {
  const Json* value = find(key);
  if (value && value->is_boolean()) return value->get<bool>();
  if (value) expected(key, "true or false", *value);
  return std::nullopt;
}

std::optional<std::string> Keys::text(std::string_view key) {
  const Json* value = find(key);
  if (value && value->is_string()) return value->get<std::string>();
  if (value) expected(key, "string", *value);
  return std::nullopt;
}

int64_t Keys::required_integer(std::string_view key, int64_t min, int64_t max) {
  return required(key) ? integer(key, min, max).value_or(min) : min;
}

double Keys::required_number(std::string_view key, double min, double max) {
  return required(key) ? number(key, min, max).value_or(min) : min;
}

bool Keys::required_flag(std::string_view key) {
  return required(key) && flag(key).value_or(false);
}

std::string Keys::required_text(std::string_view key) {
  return required(key) ? text(key).value_or("") : "";
}

char32_t Keys::required_character(std::string_view key) {
  const std::string value = required_text(key);
  const Character first = value.empty() ? Character{0, 0} : character_at(value, 0);
  if (value.empty() || first.length != value.size()) expected(key, "one character", value);
  return first.code;
}

const Json& Keys::required_list(std::string_view key) {
  static const Json kEmpty = Json::array();
  const Json* value = required(key);
  if (value && value->is_array()) return *value;
  if (value) expected(key, "list", *value);
  return kEmpty;
}

const Json& Keys::required_object(std::string_view key) {
  static const Json kEmpty = Json::object();
  const Json* value = required(key);
  if (value && value->is_object()) return *value;
  if (value) expected(key, "object", *value);
  return kEmpty;
}

size_t Keys::required_choice(std::string_view key, std::initializer_list<std::string_view> names) {
  const std::string value = required_text(key);
  const auto found = std::find(names.begin(), names.end(), value);
  if (found != names.end()) return static_cast<size_t>(found - names.begin());
  problem(key, fmt::format("unknown value \"{}\"; known are {}", value, fmt::join(names, ", ")));
  return 0;
}

void Keys::only(const std::vector<std::string>& known) const {
  if (!object_.is_object()) return;
  for (const auto& [key, value] : object_.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return problem(key, "unknown key" + did_you_mean(key, known));
    }
  }
}

}  // namespace hone
