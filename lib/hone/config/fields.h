/// Which C++ types may stand in a visit()-struct, and what each is called in messages.
#pragma once
#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/json.h"
#include "hone/core/names.h"

namespace hone::config::detail {

struct AnyVisitor {
  template <class... Args>
  void operator()(const char*, Args&&...) {}
};

/// A struct that lists its fields: static void visit(self, visitor).
template <class T>
concept Visited = requires(T& self, AnyVisitor& visitor) { T::visit(self, visitor); };

template <class T>
concept Validated = requires(const T& self, Validation& v) { self.validate(v); };

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;

template <class T>
inline constexpr bool is_map = false;
template <class T>
inline constexpr bool is_map<std::map<std::string, T>> = true;

/// The attributes of one field, gathered from the trailing arguments of the visitor's call.
struct FieldAttributes {
  std::optional<Range> range;
  bool required = false;

  void add(const Range& value) { range = value; }
  void add(const Required&) { required = true; }
};

template <class... Args>
FieldAttributes gather(const Args&... args) {
  FieldAttributes attributes;
  (attributes.add(args), ...);
  return attributes;
}

}  // namespace hone::config::detail
