#include "hone/tune/report/detail/format.h"

#include <fmt/format.h>

#include <cmath>

#include "hone/tune/search.h"
#include "hone/view/format.h"

namespace hone::tune::detail {
std::string value_text(const Distribution& distribution, double internal) {
  if (std::holds_alternative<FloatDistribution>(distribution)) return view::format_number(internal);
  if (!contains(distribution, internal)) return fmt::format("{}", internal);
  const Json value = external_value(distribution, internal);
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool ran(const Trial& trial) { return !refused(trial) && trial.state != TrialState::kWaiting; }

std::optional<double> duration(const Trial& trial, std::optional<Time> now) {
  const std::optional<Time> end = trial.complete ? trial.complete : now;
  if (!trial.start || !end) return std::nullopt;
  return std::max(0.0, (static_cast<double>(*end) - static_cast<double>(*trial.start)) / 1e6);
}

}  // namespace hone::tune::detail
