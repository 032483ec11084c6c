#pragma once
#include <cstdint>

#include "hone/tune/trial.h"

namespace hone::tune::detail {

/// Whether a pruner that looks every `interval` steps after `warmup` ones should look now: the last
/// step is the first one reported since a look was due. False if nothing was reported.
bool check_is_due(const Trial& trial, int64_t warmup, int64_t interval);

}  // namespace hone::tune::detail
