#include "hone/tune/storage/detail/sql_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "hone/core/error.h"
#include "hone/tune/storage/detail/sql_codec.h"

namespace hone::tune::detail {

bool has_nan(const std::vector<double>& values) {
  return std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); });
}

void check_values(const Trial& trial, size_t objectives) {
  const bool wanted = trial.state == TrialState::kComplete;
  const bool right = trial.values.size() == objectives || (!wanted && trial.values.empty());
  if (!right || has_nan(trial.values) || (!trial.values.empty() && !finished(trial.state))) {
    throw Error(fmt::format("a {} trial of a study with {} objectives cannot have {} values{}",
                            enum_name(trial.state), objectives, trial.values.size(),
                            has_nan(trial.values) ? ", NaN among them" : ""));
  }
}

void check_params(const std::vector<Param>& params) {
  for (const Param& param : params) {
    require_name("parameter name", param.name);
    const bool index = std::holds_alternative<CategoricalDistribution>(param.distribution);
    if (!std::isfinite(param.value) || (index && !contains(param.distribution, param.value))) {
      throw Error(fmt::format("the parameter {} cannot be {}: expected a value of {}", param.name,
                              param.value, distribution_text(param.distribution)));
    }
  }
}

void check_keys(const Attributes& attrs) {
  for (const auto& [key, value] : attrs) require_name("attribute key", key);
}

}  // namespace hone::tune::detail
