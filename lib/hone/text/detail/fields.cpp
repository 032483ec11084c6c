#include "hone/text/detail/fields.h"

#include <algorithm>

#include "hone/unicode/unicode.h"

namespace hone::text::detail {
namespace {

/// A JSON value short enough for a message.
std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace

std::optional<int64_t> integer_in(const Json& value, int64_t min, int64_t max) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return std::nullopt;
  const auto number = value.get<int64_t>();
  return number >= min && number <= max ? std::optional(number) : std::nullopt;
}

Fields::Fields(const Json& object, const std::string& source, std::string where)
    : object_(object), source_(source), where_(std::move(where)) {
  if (!object_.is_object()) fail("expected an object, got " + shown(object_));
  const auto type = object_.find("type");
  if (type != object_.end()) {
    if (!type->is_string()) fail("type", "expected a string, got " + shown(*type));
    type_ = type->get<std::string>();
  }
}

void Fields::fail(std::string_view key, const std::string& reason) const {
  throw IoError(source_, where_ + "/" + std::string(key) + ": " + reason);
}

void Fields::fail(const std::string& reason) const {
  throw IoError(source_, where_ + ": " + reason);
}

const Json* Fields::find(std::string_view key) {
  used_.push_back(key);
  const auto found = object_.find(std::string(key));
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

const Json& Fields::need(std::string_view key) {
  const Json* value = find(key);
  if (!value) fail(key, "is missing");
  return *value;
}

std::string Fields::string(std::string_view key) {
  const Json& value = need(key);
  if (!value.is_string()) fail(key, "expected a string, got " + shown(value));
  return value.get<std::string>();
}

std::string Fields::string(std::string_view key, std::string fallback) {
  return optional_string(key).value_or(std::move(fallback));
}

std::optional<std::string> Fields::optional_string(std::string_view key) {
  if (!find(key)) return std::nullopt;
  return string(key);
}

bool Fields::boolean(std::string_view key) {
  const Json& value = need(key);
  if (!value.is_boolean()) fail(key, "expected true or false, got " + shown(value));
  return value.get<bool>();
}

bool Fields::boolean(std::string_view key, bool fallback) {
  return find(key) ? boolean(key) : fallback;
}

int64_t Fields::integer(std::string_view key, int64_t min, int64_t max) {
  const Json& value = need(key);
  const auto number = integer_in(value, min, max);
  if (!number) {
    fail(key, "expected an integer in [" + std::to_string(min) + ", " + std::to_string(max) +
                  "], got " + shown(value));
  }
  return *number;
}

char32_t Fields::character(std::string_view key) {
  const std::string text = string(key);
  if (text.empty() || unicode::sequence_length(text[0]) != text.size()) {
    fail(key, "expected one character, got " + shown(Json(text)));
  }
  const char* p = text.data();
  return unicode::next_char(p);
}

const Json& Fields::array(std::string_view key) {
  const Json& value = need(key);
  if (!value.is_array()) fail(key, "expected an array, got " + shown(value));
  return value;
}

const Json& Fields::object(std::string_view key) {
  const Json& value = need(key);
  if (!value.is_object()) fail(key, "expected an object, got " + shown(value));
  return value;
}

size_t Fields::choice(std::string_view key, std::initializer_list<std::string_view> names) {
  const std::string value = string(key);
  const auto found = std::find(names.begin(), names.end(), value);
  if (found == names.end()) {
    std::string known;
    for (const std::string_view name : names)
      known += (known.empty() ? "" : ", ") + std::string(name);
    fail(key, "unknown value \"" + value + "\"; known are " + known);
  }
  return static_cast<size_t>(found - names.begin());
}

void Fields::done() const {
  for (const auto& [key, value] : object_.items()) {
    if (std::find(used_.begin(), used_.end(), std::string_view(key)) == used_.end()) {
      throw IoError(source_,
                    where_ + "/" + key + ": unknown field" + (type_.empty() ? "" : " of " + type_));
    }
  }
}

}  // namespace hone::text::detail
