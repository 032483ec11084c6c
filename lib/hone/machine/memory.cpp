#include "hone/machine/memory.h"

#include <c10/core/CPUAllocator.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>  // defines __GLIBC__
#include <cstring>

#include "hone/core/sanitizer.h"
#include "hone/machine/page_pool.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace hone::machine {
namespace {

/// Smaller tensors come from the C library: whole pages would waste too much of them.
constexpr size_t kSmallest = size_t{256} << 10;

/// Leaked, as tensors may outlive static destruction.
PagePool& pool() {
  static auto* pool = new PagePool;
  return *pool;
}

/// nullptr for what is too small for the pool, or where it has no memory.
void* take(size_t bytes) { return bytes < kSmallest ? nullptr : pool().allocate(bytes); }

bool put_back(void* block) {
  constexpr uintptr_t kPage = 4096;
  return reinterpret_cast<uintptr_t>(block) % kPage == 0 && pool().release(block);
}

void release(void* block) {
  if (!block) return;
  if (put_back(block)) {
    c10::profiledCPUMemoryReporter().Delete(block);
  } else {
    c10::GetDefaultCPUAllocator()->raw_deallocate(block);
  }
}

/// LibTorch's allocator of CPU tensors, with the pool under its large ones.
class PooledAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* block = take(bytes);
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

// What oneMKL calls for its buffers ("Redefining Memory Functions" in its developer guide).
void* mkl_malloc(size_t bytes) {
  void* const block = take(bytes);
  return block ? block : std::malloc(bytes);
}

void mkl_free(void* block) {
  if (!put_back(block)) std::free(block);
}

void* mkl_realloc(void* block, size_t bytes) {
  const size_t size = pool().size(block);
  if (size == 0) return std::realloc(block, bytes);
  void* const larger = mkl_malloc(bytes);
  if (!larger) return nullptr;
  std::memcpy(larger, block, std::min(size, bytes));
  mkl_free(block);
  return larger;
}

/// Lets the matrix products of oneMKL take their buffers from the pool and return them. By itself
/// oneMKL keeps those of every size and thread: up to 36 MiB of two threads that never need more
/// than 11. Looked up by name, as a LibTorch may be built without it.
void lend_to_mkl() {
  void* const keep_none = dlsym(RTLD_DEFAULT, "mkl_serv_disable_fast_mm");
  if (!keep_none) return;
  reinterpret_cast<int (*)()>(keep_none)();
  const auto set = [](const char* name, auto function) {
    void* const pointer = dlsym(RTLD_DEFAULT, name);
    if (pointer) *static_cast<decltype(function)*>(pointer) = function;
  };
  set("i_malloc", &mkl_malloc);
  set("i_realloc", &mkl_realloc);
  set("i_free", &mkl_free);
}

}  // namespace

bool keep_freed_memory() {
  if (kAddressSanitizer) return false;  // it finds faults in tensors of its own allocator only
#ifdef __linux__
  static PooledAllocator allocator;
  static const bool installed = [] {
    c10::SetAllocator(c10::kCPU, &allocator);
    lend_to_mkl();
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

}  // namespace hone::machine
