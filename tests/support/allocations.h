/// Counting what LibTorch allocates on the CPU.
#pragma once
#include <c10/core/Allocator.h>

#include <algorithm>
#include <cstdint>

namespace hone::test {

/// Counts LibTorch's allocations on the CPU while a guard has it in place:
///   const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
class AllocationCounter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device) override {
    now_ += bytes;
    peak_ = std::max(peak_, now_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t now() const { return now_; }
  /// The most at one moment since the last restart().
  int64_t peak() const { return peak_; }
  void restart() { peak_ = now_; }

 private:
  int64_t now_ = 0, peak_ = 0;
};

}  // namespace hone::test
