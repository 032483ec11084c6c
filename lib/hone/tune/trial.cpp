#include "hone/tune/trial.h"

#include <algorithm>

namespace hone::tune {

std::optional<double> violation(const Trial& trial) {
  const std::string prefix = std::string(kConstraints) + ":";
  std::optional<double> sum;
  const auto add = [&](const Json& value) {
    sum = sum.value_or(0) + (value.is_number() ? std::max(0.0, value.get<double>()) : 0);
  };
  for (const auto& [key, value] : trial.system_attrs) {
    if (key.starts_with(prefix)) add(value);
    if (key == kConstraints && value.is_array()) {
      sum = sum.value_or(0);
      for (const Json& one : value) add(one);
    }
  }
  return sum;
}

}  // namespace hone::tune
