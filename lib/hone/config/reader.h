/// Strict reading of a JSON document into a struct with visit().
///
///   struct TrainOptions {
///     double lr = 1e-4;
///     template <class Self, class Visitor> static void visit(Self& self, Visitor& v) {
///       v("lr", self.lr, "Peak learning rate.", Range{0, 10});
///     }
///   };
///   auto options = config::read_config<TrainOptions>(read_json_file("recipe.json"));
///
/// Fields may be bool, int64_t, double, std::string, Json, an enum with EnumNames, structs with
/// visit(), and std::optional, std::vector and std::map<std::string, T> of these.
#pragma once
#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
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

/// Collects problems and the paths that the document gives. Every read_ function reports what it
/// cannot take, and then returns nothing.
class Reading {
 public:
  void problem(const std::string& path, std::string message);
  void given(const std::string& path) { given_.insert(path); }
  bool is_given(const std::string& path) const { return given_.contains(path); }

  /// `keys` gives all keys of the document's kind, as key_names() does; asked when one is unknown.
  explicit Reading(std::function<std::vector<std::string>()> keys) : keys_(std::move(keys)) {}

  /// Keys of `object` at `path` that are not `known`. "$schema" is let through at the top.
  void check_keys(const Json& object, const std::string& path,
                  const std::vector<std::string>& known);
  bool expect_object(const Json& json, const std::string& path);
  bool expect_list(const Json& json, const std::string& path);

  std::optional<bool> read_bool(const Json& json, const std::string& path);
  /// Accepts whole floats too (1e3), as JSON Schema does.
  std::optional<int64_t> read_integer(const Json& json, const std::string& path,
                                      const std::optional<Range>& range);
  std::optional<double> read_double(const Json& json, const std::string& path,
                                    const std::optional<Range>& range);
  std::optional<std::string> read_string(const Json& json, const std::string& path);
  /// The text's position in `names`.
  std::optional<size_t> read_name(const Json& json, const std::string& path,
                                  const std::vector<std::string>& names);

  /// Adds what a struct's validate() found, unless the reader already refused that very key.
  void add_validated(std::vector<Problem> found);

  /// Throws: ConfigError with all problems, if any: the fields' in the order of visit(), then a
  /// struct's unknown keys, then what its validate() found.
  void finish();

 private:
  std::function<std::vector<std::string>()> keys_;
  std::vector<Problem> problems_;
  std::set<std::string> given_;
  std::set<std::string> refused_;
};

/// Lists the keys of a struct and of what it holds: "train.lr", "data.train[].files".
struct KeyLister {
  template <class T, class... Args>
  void operator()(const char* name, const T&, std::string_view, const Args&...) {
    keys.push_back(prefix + name);
    inner<T>(keys.back());
  }

  template <class T>
  void inner(const std::string& name) {
    if constexpr (is_optional<T>) {
      inner<typename T::value_type>(name);
    } else if constexpr (is_vector<T>) {
      inner<typename T::value_type>(name + "[]");
    } else if constexpr (is_map<T>) {
      inner<typename T::mapped_type>(name + ".<name>");
    } else if constexpr (Visited<T>) {
      KeyLister lister{keys, name + "."};
      const T value{};
      T::visit(value, lister);
    }
  }

  std::vector<std::string>& keys;
  std::string prefix;
};

template <Visited T>
std::vector<std::string> key_names() {
  std::vector<std::string> keys;
  KeyLister lister{keys, ""};
  const T value{};
  T::visit(value, lister);
  return keys;
}

template <class T>
void read_struct(Reading& reading, const Json& object, const std::string& path, T& value);

/// Reads one value. What is refused keeps its default, in lists and maps too, so that validate()
/// still sees how many there are.
template <class T>
void read_value(Reading& reading, const Json& json, const std::string& path,
                const FieldAttributes& attributes, T& value) {
  const auto take = [&value](auto read) {
    if (read) value = *std::move(read);
  };
  if constexpr (is_optional<T>) {
    if (json.is_null()) return value.reset();  // as if absent
    if (!value) value.emplace();
    return read_value(reading, json, path, attributes, *value);
  }
  reading.given(path);
  if constexpr (std::same_as<T, bool>) {
    take(reading.read_bool(json, path));
  } else if constexpr (std::same_as<T, int64_t>) {
    take(reading.read_integer(json, path, attributes.range));
  } else if constexpr (std::same_as<T, double>) {
    take(reading.read_double(json, path, attributes.range));
  } else if constexpr (std::same_as<T, Json>) {
    value = json;
  } else if constexpr (std::same_as<T, std::string>) {
    take(reading.read_string(json, path));
  } else if constexpr (NamedEnum<T>) {
    const auto position = reading.read_name(json, path, enum_names<T>());
    if (position) value = EnumNames<T>::values[*position].first;
  } else if constexpr (is_vector<T>) {
    if (!reading.expect_list(json, path)) return;
    value.clear();
    for (const Json& element : json) {
      const std::string place = path + "/" + std::to_string(value.size());
      typename T::value_type item{};
      read_value(reading, element, place, attributes, item);
      value.push_back(std::move(item));
    }
  } else if constexpr (is_map<T>) {
    if (!reading.expect_object(json, path)) return;
    value.clear();
    for (const auto& [key, element] : json.items()) {
      read_value(reading, element, path + "/" + pointer_step(key), attributes, value[key]);
    }
  } else if constexpr (Visited<T>) {
    if (reading.expect_object(json, path)) read_struct(reading, json, path, value);
  } else {
    static_assert(is_optional<T>, "this type cannot stand in a config; see config/reader.h");
  }
}

/// The visitor that fills one struct from one JSON object.
class FieldReader {
 public:
  FieldReader(Reading& reading, const Json& object, const std::string& path)
      : reading_(reading), object_(object), path_(path) {}

  template <class T, class... Args>
  void operator()(const char* name, T& field, std::string_view help, const Args&... args) {
    known_.emplace_back(name);
    const FieldAttributes attributes = gather(args...);
    const std::string path = path_ + "/" + pointer_step(name);
    if (const auto found = object_.find(name); found != object_.end()) {
      read_value(reading_, *found, path, attributes, field);
    } else if (attributes.required) {
      reading_.problem(path, "required key is missing: " + std::string(help));
    } else if constexpr (Visited<T>) {
      // Left out, but its Required keys are missing and its defaults are validated all the same.
      read_struct(reading_, Json::object(), path, field);
    }
  }

  void check_keys() { reading_.check_keys(object_, path_, known_); }

 private:
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

}  // namespace detail

/// The struct that `json` describes; absent keys keep the value that `defaults` holds. Lists and
/// maps replace the default whole, structs key by key; null unsets an optional field.
/// Every nested struct's validate(Validation&) runs after its fields are read, inner ones first,
/// also where the document leaves the struct out.
/// A string "$schema" at the top is ignored, so that editors find the schema.
/// Throws: ConfigError with everything that is wrong: unknown keys (with the one that was meant),
///   wrong types, numbers out of Range, unknown enum names, missing Required keys, and what
///   validate() reported.
template <detail::Visited T>
T read_config(const Json& json, T defaults = {}) {
  detail::Reading reading(detail::key_names<T>);
  if (reading.expect_object(json, "")) detail::read_struct(reading, json, "", defaults);
  reading.finish();
  return defaults;
}

}  // namespace hone::config
