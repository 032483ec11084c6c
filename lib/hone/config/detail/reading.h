/// The part of the reader that knows no struct: problems, given paths, and scalars.
#pragma once
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "hone/config/detail/fields.h"
#include "hone/core/error.h"

namespace hone::config::detail {

/// Collects problems and the paths that the document gives while one document is read.
class Reading {
 public:
  void problem(const std::string& path, std::string message);
  void given(const std::string& path) { given_.insert(path); }
  bool is_given(const std::string& path) const { return given_.count(path) > 0; }

  /// Keys of `object` at `path` that are not `known`. "$schema" is let through at the top.
  void check_keys(const Json& object, const std::string& path,
                  const std::vector<std::string>& known);
  void missing(const std::string& path, const std::string& help);
  bool expect_object(const Json& json, const std::string& path);
  bool expect_list(const Json& json, const std::string& path);

  bool read_bool(const Json& json, const std::string& path, bool& value);
  /// Accepts whole floats too (1e3), as JSON Schema does.
  bool read_integer(const Json& json, const std::string& path, const std::optional<Range>& range,
                    int64_t lowest, int64_t highest, int64_t& value);
  bool read_double(const Json& json, const std::string& path, const std::optional<Range>& range,
                   double& value);
  bool read_string(const Json& json, const std::string& path, std::string& value);
  /// Checks that the text is one of `names`.
  bool read_enum(const Json& json, const std::string& path, const std::vector<std::string>& names,
                 std::string& value);

  /// Adds what a struct's validate() found, unless the reader already refused that very key.
  void add_validated(std::vector<Problem> found);

  /// Throws: ConfigError with all problems, if any, in the order of their paths' first mention.
  void finish();

 private:
  std::vector<Problem> problems_;
  std::set<std::string> given_;
  std::set<std::string> refused_;
};

template <class T>
bool read_value(Reading& reading, const Json& json, const std::string& path,
                const Attributes& attributes, T& value);

/// The visitor that fills one struct from one JSON object.
class FieldReader {
 public:
  FieldReader(Reading& reading, const Json& object, const std::string& path)
      : reading_(reading), object_(object), path_(path) {}

  template <class T, class... Args>
  void operator()(const char* name, T& field, std::string_view help, const Args&... args) {
    known_.emplace_back(name);
    const Attributes attributes = gather(args...);
    const std::string path = path_ + "/" + pointer_step(name);
    const auto found = object_.find(name);
    if (found == object_.end()) {
      if (attributes.required) reading_.missing(path, std::string(help));
      if constexpr (Visited<T>) validate_default(field, path);
      return;
    }
    read_value(reading_, *found, path, attributes, field);
  }

  void check_keys() { reading_.check_keys(object_, path_, known_); }

 private:
  /// A nested struct that the document leaves out is still validated, with every default standing,
  /// and its Required keys are missing: reading an empty object says both.
  template <class T>
  void validate_default(T& field, const std::string& path);

  Reading& reading_;
  const Json& object_;
  const std::string& path_;
  std::vector<std::string> known_;
};

template <class T>
void read_struct(Reading& reading, const Json& object, const std::string& path, T& value) {
  FieldReader fields(reading, object, path);
  T::visit(value, fields);
  fields.check_keys();
  if constexpr (Validated<T>) {
    std::vector<Problem> found;
    Validation validation(
        path, [&reading](const std::string& key) { return reading.is_given(key); }, found);
    value.validate(validation);
    reading.add_validated(std::move(found));
  }
}

template <class T>
void FieldReader::validate_default(T& field, const std::string& path) {
  static const Json empty = Json::object();
  read_struct(reading_, empty, path, field);
}

/// Reads one value; on a problem the default stays. Returns whether the value was taken.
template <class T>
bool read_value(Reading& reading, const Json& json, const std::string& path,
                const Attributes& attributes, T& value) {
  if constexpr (is_optional<T>) {
    if (json.is_null()) {  // as if absent
      value.reset();
      return true;
    }
    typename T::value_type inner{};
    if (!read_value(reading, json, path, attributes, inner)) return false;
    value = std::move(inner);
    return true;
  } else {
    reading.given(path);
    if constexpr (std::same_as<T, Json>) {
      value = json;
      return true;
    } else if constexpr (std::same_as<T, bool>) {
      return reading.read_bool(json, path, value);
    } else if constexpr (Integer<T>) {
      int64_t number = 0;
      constexpr int64_t lowest = std::is_signed_v<T> ? std::numeric_limits<T>::min() : 0;
      constexpr int64_t highest = sizeof(T) == 8 ? std::numeric_limits<int64_t>::max()
                                                 : int64_t{std::numeric_limits<T>::max()};
      if (!reading.read_integer(json, path, attributes.range, lowest, highest, number)) {
        return false;
      }
      value = static_cast<T>(number);
      return true;
    } else if constexpr (std::floating_point<T>) {
      double number = 0;
      if (!reading.read_double(json, path, attributes.range, number)) return false;
      value = static_cast<T>(number);
      return true;
    } else if constexpr (std::same_as<T, std::string>) {
      return reading.read_string(json, path, value);
    } else if constexpr (NamedEnum<T>) {
      std::string name;
      if (!reading.read_enum(json, path, enum_names<T>(), name)) return false;
      value = *enum_from_name<T>(name);
      return true;
    } else if constexpr (is_vector<T>) {
      if (!reading.expect_list(json, path)) return false;
      T items;
      bool good = true;
      for (size_t i = 0; i < json.size(); ++i) {
        typename T::value_type item{};
        good &= read_value(reading, json[i], path + "/" + std::to_string(i), attributes, item);
        items.push_back(std::move(item));
      }
      if (good) value = std::move(items);
      return good;
    } else if constexpr (is_map<T>) {
      if (!reading.expect_object(json, path)) return false;
      T items;
      bool good = true;
      for (const auto& [key, element] : json.items()) {
        typename T::mapped_type item{};
        good &= read_value(reading, element, path + "/" + pointer_step(key), attributes, item);
        items.emplace(key, std::move(item));
      }
      if (good) value = std::move(items);
      return good;
    } else if constexpr (Visited<T>) {
      if (!reading.expect_object(json, path)) return false;
      read_struct(reading, json, path, value);
      return true;
    } else {
      static_assert(always_false<T>, "this type cannot stand in a config; see config/reader.h");
      return false;
    }
  }
}

}  // namespace hone::config::detail
