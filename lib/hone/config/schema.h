/// JSON Schema of a struct with visit(): what --schema prints, and what editors complete from.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "hone/config/fields.h"
#include "hone/config/writer.h"
#include "hone/core/json.h"

namespace hone::config {
namespace detail {

/// Adds minimum and maximum.
void add_range(Json& schema, const Range& range);
/// Lets null through too.
void allow_null(Json& schema);
/// Wraps the properties into the top of a schema document.
Json schema_document(Json object, const std::string& title, const std::string& description);

template <class T>
Json value_schema(const T& value, const FieldAttributes& attributes);

class FieldSchema {
 public:
  FieldSchema() : object{{"type", "object"}, {"properties", Json::object()}} {}

  template <class T, class... Args>
  void operator()(const char* name, const T& field, std::string_view help, const Args&... args) {
    const FieldAttributes attributes = gather(args...);
    Json schema = {{"description", help}};
    schema.update(value_schema(field, attributes));
    // A nested struct with required keys cannot be left out either.
    const bool required = attributes.required || (Visited<T> && schema.contains("required"));
    if constexpr (!Visited<T>) {
      const Json standing = write_value(field);
      if (!required && !standing.is_null()) schema["default"] = standing;
    }
    if (required) object["required"].push_back(name);
    object["properties"][name] = std::move(schema);
  }

  Json object;
};

/// `value` gives the defaults.
template <class T>
Json value_schema(const T& value, const FieldAttributes& attributes) {
  Json schema = Json::object();
  if constexpr (is_optional<T>) {
    schema = value_schema(value ? *value : typename T::value_type{}, attributes);
    allow_null(schema);
  } else if constexpr (std::same_as<T, bool>) {
    schema["type"] = "boolean";
  } else if constexpr (std::same_as<T, int64_t>) {
    schema["type"] = "integer";
    if (attributes.range) add_range(schema, *attributes.range);
  } else if constexpr (std::same_as<T, double>) {
    schema["type"] = "number";
    if (attributes.range) add_range(schema, *attributes.range);
  } else if constexpr (std::same_as<T, std::string>) {
    schema["type"] = "string";
  } else if constexpr (NamedEnum<T>) {
    schema["enum"] = enum_names<T>();
  } else if constexpr (is_vector<T>) {
    schema["type"] = "array";
    schema["items"] = value_schema(typename T::value_type{}, attributes);
  } else if constexpr (is_map<T>) {
    schema["type"] = "object";
    schema["additionalProperties"] = value_schema(typename T::mapped_type{}, attributes);
  } else if constexpr (Visited<T>) {
    FieldSchema fields;
    T::visit(value, fields);
    schema = std::move(fields.object);
    schema["additionalProperties"] = false;
  }
  return schema;
}

}  // namespace detail

/// JSON Schema 2020-12 of what read_config<T> accepts, with help, defaults, names and ranges. What
/// validate() checks is not in it: a document may fit the schema and still be refused.
template <detail::Visited T>
Json schema(const std::string& title, const std::string& description, const T& defaults = {}) {
  return detail::schema_document(detail::value_schema(defaults, {}), title, description);
}

}  // namespace hone::config
