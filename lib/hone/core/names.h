/// Names: enum <-> string tables, and the nearest known name for a mistyped one.
#pragma once
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hone {

/// Levenshtein distance in bytes.
size_t edit_distance(std::string_view a, std::string_view b);

/// The known name nearest to `name`, unless all are too far off to be meant.
std::optional<std::string> nearest_name(std::string_view name,
                                        const std::vector<std::string>& known);

/// "; did you mean lr?" or "" .
std::string did_you_mean(std::string_view name, const std::vector<std::string>& known);

/// A key as one step of a JSON pointer: "~" and "/" escaped.
std::string pointer_step(std::string_view key);

/// Specialise for an enum that appears in configs:
///   template <> struct hone::EnumNames<Mode> {
///     static constexpr std::pair<Mode, const char*> values[] = {{Mode::kFull, "full"}, ...};
///   };
template <class E>
struct EnumNames;

template <class E>
concept NamedEnum = requires { EnumNames<E>::values; };

template <NamedEnum E>
std::string enum_name(E value) {
  for (const auto& [known, name] : EnumNames<E>::values) {
    if (known == value) return name;
  }
  return "?";
}

template <NamedEnum E>
std::vector<std::string> enum_names() {
  std::vector<std::string> names;
  for (const auto& [value, name] : EnumNames<E>::values) names.emplace_back(name);
  return names;
}

template <NamedEnum E>
std::optional<E> enum_from_name(std::string_view text) {
  for (const auto& [value, name] : EnumNames<E>::values) {
    if (text == name) return value;
  }
  return std::nullopt;
}

}  // namespace hone
