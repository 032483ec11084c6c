/// A struct with visit() as JSON: what --print-config shows and a run folder keeps.
#pragma once
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hone/config/fields.h"
#include "hone/core/error.h"
#include "hone/core/json.h"

namespace hone::config {
namespace detail {

/// `value` at `path` without those keys of structs and maps that hold something and whose paths are
/// in `left_out`.
template <class T>
Json write_value(const T& value, const std::string& path = "",
                 const std::set<std::string>& left_out = {});

struct FieldWriter {
  template <class T, class... Args>
  void operator()(const char* name, const T& field, std::string_view, const Args&...) {
    const std::string place = path + "/" + pointer_step(name);
    Json json = write_value(field, place, left_out);
    if (json.is_null() || !left_out.contains(place)) object[name] = std::move(json);
  }

  const std::string& path;
  const std::set<std::string>& left_out;
  Json object = Json::object();
};

template <class T>
Json write_value(const T& value, const std::string& path, const std::set<std::string>& left_out) {
  if constexpr (is_optional<T>) {
    return value ? write_value(*value, path, left_out) : Json(nullptr);
  } else if constexpr (NamedEnum<T>) {
    return enum_name(value);
  } else if constexpr (is_vector<T>) {
    Json list = Json::array();
    for (const typename T::value_type& item : value) {
      list.push_back(write_value(item, path + "/" + std::to_string(list.size()), left_out));
    }
    return list;
  } else if constexpr (is_map<T>) {
    Json object = Json::object();
    for (const auto& [key, item] : value) {
      const std::string place = path + "/" + pointer_step(key);
      if (!left_out.contains(place)) object[key] = write_value(item, place, left_out);
    }
    return object;
  } else if constexpr (Visited<T>) {
    FieldWriter writer{path, left_out};
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

}  // namespace detail

/// Every key with its value, defaults included, in the order of visit(); null for an optional that
/// holds nothing. Left out are keys that validate() refuses merely for being given (no_effect).
/// read_config<T>(to_json(value)) succeeds and gives `value` back if `value` came from read_config.
template <detail::Visited T>
Json to_json(const T& value) {
  std::vector<Problem> problems;
  detail::validate_value(value, "", [](const std::string&) { return true; }, problems);
  std::set<std::string> left_out;
  for (Problem& problem : problems) {
    if (problem.no_effect) left_out.insert(std::move(problem.path));
  }
  return detail::write_value(value, "", left_out);
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
