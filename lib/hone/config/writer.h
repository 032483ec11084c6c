/// A struct with visit() as JSON: what --print-config shows and a run folder keeps.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hone/config/detail/fields.h"
#include "hone/core/error.h"
#include "hone/core/json.h"

namespace hone::config {
namespace detail {

template <class T>
Json write_value(const T& value);

class FieldWriter {
 public:
  template <class T, class... Args>
  void operator()(const char* name, const T& field, std::string_view, const Args&...) {
    if constexpr (is_optional<T>) {
      if (!field) return;
    }
    object[name] = write_value(field);
  }

  Json object = Json::object();
};

template <class T>
Json write_value(const T& value) {
  if constexpr (is_optional<T>) {
    return value ? write_value(*value) : Json(nullptr);
  } else if constexpr (NamedEnum<T>) {
    return enum_name(value);
  } else if constexpr (is_vector<T>) {
    Json list = Json::array();
    for (const typename T::value_type& item : value) list.push_back(write_value(item));
    return list;
  } else if constexpr (is_map<T>) {
    Json object = Json::object();
    for (const auto& [key, item] : value) object[key] = write_value(item);
    return object;
  } else if constexpr (Visited<T>) {
    FieldWriter writer;
    T::visit(value, writer);
    return std::move(writer.object);
  } else {
    return Json(value);
  }
}

/// Runs validate() of every struct in a value, inner ones first, as the reader does.
template <class T>
void validate_value(const T& value, const std::string& path, const Validation::IsSet& is_set,
                    std::vector<Problem>& problems);

struct FieldValidator {
  template <class T, class... Args>
  void operator()(const char* name, const T& field, std::string_view, const Args&...) {
    validate_value(field, path + "/" + pointer_step(name), is_set, problems);
  }

  const std::string& path;
  const Validation::IsSet& is_set;
  std::vector<Problem>& problems;
};

template <class T>
void validate_value(const T& value, const std::string& path, const Validation::IsSet& is_set,
                    std::vector<Problem>& problems) {
  if constexpr (is_optional<T>) {
    if (value) validate_value(*value, path, is_set, problems);
  } else if constexpr (is_vector<T>) {
    for (size_t i = 0; i < value.size(); ++i) {
      const typename T::value_type& item = value[i];
      validate_value(item, path + "/" + std::to_string(i), is_set, problems);
    }
  } else if constexpr (is_map<T>) {
    for (const auto& [key, item] : value) {
      validate_value(item, path + "/" + pointer_step(key), is_set, problems);
    }
  } else if constexpr (Visited<T>) {
    FieldValidator fields{path, is_set, problems};
    T::visit(value, fields);
    if constexpr (Validated<T>) {
      Validation validation(path, is_set, problems);
      value.validate(validation);
    }
  }
}

/// Removes the keys that are a problem only because they are given.
void drop_ineffective(
    Json& json, const std::function<std::vector<Problem>(const Validation::IsSet&)>& validate);

}  // namespace detail

/// Every key with its value, defaults included, in the order of visit(). Left out are optionals
/// that hold nothing, and keys that validate() refuses merely for being given (no_effect).
/// read_config<T>(to_json(value)) succeeds and gives `value` back if `value` came from read_config.
template <detail::Visited T>
Json to_json(const T& value) {
  Json json = detail::write_value(value);
  detail::drop_ineffective(json, [&value](const Validation::IsSet& is_set) {
    std::vector<Problem> problems;
    detail::validate_value(value, "", is_set, problems);
    return problems;
  });
  return json;
}

/// Everything that validate() of a struct made in code reports, as read_config would throw it.
/// No key counts as given. Throws: ConfigError.
template <detail::Visited T>
void validate(const T& value) {
  std::vector<Problem> problems;
  detail::validate_value(value, "", [](const std::string&) { return false; }, problems);
  if (!problems.empty()) throw ConfigError(std::move(problems));
}

}  // namespace hone::config
