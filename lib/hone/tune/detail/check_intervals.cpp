#include "hone/tune/detail/check_intervals.h"

#include <iterator>

namespace hone::tune::detail {

bool check_is_due(const Trial& trial, int64_t warmup, int64_t interval) {
  if (trial.intermediate.empty()) return false;
  const auto last = std::prev(trial.intermediate.end());
  if (last->first < warmup) return false;
  const int64_t due = warmup + (last->first - warmup) / interval * interval;
  return last == trial.intermediate.begin() || std::prev(last)->first < due;
}

}  // namespace hone::tune::detail
