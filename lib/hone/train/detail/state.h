/// What the controllers of this room share: numbers in their states, and signals they cannot do
/// without.
#pragma once
#include <cmath>
#include <deque>
#include <optional>
#include <string>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/train/controllers/signals.h"

namespace hone::train::detail {

/// Null for nothing. JSON has no infinity either, so that a number must be finite.
inline Json number_json(const std::optional<double>& number) {
  return number ? Json(*number) : Json(nullptr);
}

inline std::optional<double> number_from_json(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return json.get<double>();
}

/// Throws: hone::Error naming the signal if it was not measured.
inline double needed(const Signals& signals, const std::string& name) {
  if (const auto value = signals.find(name)) return *value;
  throw Error("this run does not measure the signal " + name + ", which it goes by");
}

/// Drops the oldest values over `window`.
inline void push_bounded(std::deque<double>& values, double value, size_t window) {
  values.push_back(value);
  if (values.size() > window) values.pop_front();
}

}  // namespace hone::train::detail
