#include "hone/tune/trial.h"

#include <algorithm>

namespace hone::tune {

std::optional<double> violation(const Trial& trial) {
  const auto found = trial.system_attrs.find(kConstraints);
  if (found == trial.system_attrs.end() || !found->second.is_array()) return std::nullopt;
  double sum = 0;
  for (const Json& value : found->second) {
    if (value.is_number()) sum += std::max(0.0, value.get<double>());
  }
  return sum;
}

}  // namespace hone::tune
