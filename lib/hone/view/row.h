/// Reading rows of metrics for people.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "hone/core/json.h"

namespace hone::view {

inline double number_or_nan(const Json& row, const std::string& key) {
  return row.contains(key) && row[key].is_number() ? row[key].get<double>() : NAN;
}

/// "head importance" for "head_importance".
inline std::string spaced(std::string key) {
  std::replace(key.begin(), key.end(), '_', ' ');
  return key;
}

}  // namespace hone::view
