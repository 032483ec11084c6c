/// How sure a trial's values are, and which trials they cannot tell apart.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hone/tune/trial.h"

namespace hone::tune {

/// User attribute: a list of the values' standard errors, null where a value has none.
inline constexpr const char* kStandardErrors = "hone:standard_errors";

/// Of a trial's value; nullopt if it has none.
std::optional<double> standard_error(const Trial& trial, size_t objective);

/// "0.62", or "0.62 ± 0.035" with its standard error.
std::string value_with_error(const Trial& trial, size_t objective);

/// Trials by number, ascending.
struct Ties {
  std::vector<int64_t> equal;   ///< of the same first value, but for rounding
  std::vector<int64_t> within;  ///< nearer to it than the standard error of the difference
};

/// The other ranked trials that the first objective does not tell from `best`. Errors add as those
/// of independent values, which trials scored on the same rows are not quite: their differences are
/// often surer.
Ties ties(const StudyView& study, const Trial& best);

/// "tied with trials 3, 7; within the standard error of trial 9", or "".
std::string ties_text(const Ties& ties);

}  // namespace hone::tune
