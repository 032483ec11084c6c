/// Texts for people, shared by the live table and the report.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "hone/tune/trial.h"

namespace hone::tune::detail {

/// The first `columns` characters of UTF-8, the last of them an ellipsis where something was cut.
std::string shortened(std::string_view text, size_t columns);
/// The number of characters of UTF-8.
size_t columns_of(std::string_view text);

/// What a person sees of a parameter's value.
std::string value_text(const Distribution& distribution, double internal);

/// Whether the trial ran: PRUNED ones that were refused before did not.
bool ran(const Trial& trial);
/// Seconds from start to end; to `now` for a running trial; nullopt if it has not begun or ended.
std::optional<double> duration(const Trial& trial, std::optional<Time> now = std::nullopt);

}  // namespace hone::tune::detail
