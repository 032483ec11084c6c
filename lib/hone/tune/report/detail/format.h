/// Texts for people, shared by the live table and the report.
#pragma once
#include <optional>
#include <string>

#include "hone/tune/trial.h"

namespace hone::tune::detail {

/// What a person sees of a parameter's value.
std::string value_text(const Distribution& distribution, double internal);

/// Whether the trial ran: PRUNED ones that were refused before did not.
bool ran(const Trial& trial);
/// Seconds from start to end; to `now` for a running trial; nullopt if it has not begun or ended.
std::optional<double> duration(const Trial& trial, std::optional<Time> now = std::nullopt);

}  // namespace hone::tune::detail
