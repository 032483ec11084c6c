/// What a study cannot hold, found before the database is asked.
#pragma once
#include <cstddef>
#include <vector>

#include "hone/tune/trial.h"

namespace hone::tune::detail {

bool has_nan(const std::vector<double>& values);

/// All throw: Error saying what is wrong.
/// The values of a trial that is stored as it is, in a study of so many objectives.
void check_values(const Trial& trial, size_t objectives);
void check_params(const std::vector<Param>& params);
void check_keys(const Attributes& attrs);

}  // namespace hone::tune::detail
