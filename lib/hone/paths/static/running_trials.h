/// Trials that run in other processes: whether those live, and what is waited for.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hone/tune/storage/storage.h"

namespace hone::paths {

/// Enqueues again the running trials whose process has ended for certain (known_ended), without
/// waiting for the grace; says so in the log.
void retry_ended(tune::Storage& storage, int64_t study_id, const tune::RetryOptions& options);

/// A line for each running trial: who runs it, since when nothing was heard, and when that counts
/// as its end.
std::vector<std::string> waited_for(tune::Storage& storage, int64_t study_id,
                                    const tune::RetryOptions& options);

}  // namespace hone::paths
