/// Options that a program gives, held against what their visit() and validate() say.
#pragma once
#include <fmt/format.h>

#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/field.h"

namespace hone {
namespace detail {

/// A visitor that notes the numbers outside their Range.
struct RangeCheck {
  const std::string& who;
  std::vector<Problem>& problems;

  template <class T, class... Attributes>
  void operator()(const char* name, const T& value, const char*, const Attributes&... attributes) {
    (check(name, value, attributes), ...);
  }
  template <class T, class Attribute>
  void check(const char*, const T&, const Attribute&) {}
  template <class T>
  void check(const char* name, const T& value, const Range& range) {
    if constexpr (std::is_arithmetic_v<T>) {
      if (value >= range.min && value <= range.max) return;
      problems.push_back({who + "/" + name,
                          fmt::format("must be in [{}, {}], got {}", range.min, range.max, value)});
    }
  }
  template <class T>
  void check(const char* name, const std::optional<T>& value, const Range& range) {
    if (value) check(name, *value, range);
  }
};

}  // namespace detail

/// The options of `who`, a class or a function, given by a program rather than read from a file.
/// Throws: ConfigError with all that is out of range or that validate() finds wrong; fields without
///   effect are not.
template <class Options>
const Options& checked(const Options& options, const std::string& who) {
  std::vector<Problem> problems;
  detail::RangeCheck check{who, problems};
  Options::visit(options, check);
  if constexpr (requires(Validation& v) { options.validate(v); }) {
    Validation validation(who, [](const std::string&) { return false; }, problems);
    options.validate(validation);
  }
  if (!problems.empty()) throw ConfigError(std::move(problems));
  return options;
}

}  // namespace hone
