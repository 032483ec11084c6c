#include "hone/kernels/memory.h"

#include <c10/core/CPUAllocator.h>

#include <cstdlib>  // defines __GLIBC__
#include <cstring>

#include "hone/core/sanitizer.h"
#include "hone/kernels/page_pool.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace hone::kernels {
namespace {

/// Smaller tensors come from the C library: whole pages would waste too much of them.
constexpr size_t kSmallest = size_t{256} << 10;

/// Leaked, as tensors may outlive static destruction.
PagePool& pool() {
  static auto* pool = new PagePool;
  return *pool;
}

void release(void* block) {
  constexpr uintptr_t kPage = 4096;
  if (!block) return;
  if (reinterpret_cast<uintptr_t>(block) % kPage == 0 && pool().release(block)) {
    c10::profiledCPUMemoryReporter().Delete(block);
  } else {
    c10::GetDefaultCPUAllocator()->raw_deallocate(block);
  }
}

/// LibTorch's allocator of CPU tensors, with the pool under its large ones.
class PooledAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* block = bytes < kSmallest ? nullptr : pool().allocate(bytes);
    if (block) {
      c10::profiledCPUMemoryReporter().New(block, bytes);
    } else {  // which throws if there is no memory either
      block = c10::GetDefaultCPUAllocator()->raw_allocate(bytes);
    }
    return {block, block, &release, at::kCPU};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
};

}  // namespace

bool keep_freed_memory() {
  if (kAddressSanitizer) return false;  // it finds faults in tensors of its own allocator only
#ifdef __linux__
  static PooledAllocator allocator;
  static const bool installed = [] {
    c10::SetAllocator(c10::kCPU, &allocator);
#ifdef __GLIBC__
    // What is large and no tensor (files, texts) goes back when it is freed: the C library's own
    // rule keeps blocks of up to 32 MiB once one was freed. Small tensors come and go at every
    // step, so the heap's end stays.
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
#endif
    return true;
  }();
  return installed && c10::GetAllocator(c10::kCPU) == &allocator;
#else
  return false;
#endif
}

void return_freed_memory() {
  pool().trim();
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace hone::kernels
