/// Loops over LibTorch's own OpenMP threads.
///
/// at::parallel_for is header code that runs on one thread when compiled without -fopenmp, and
/// clang's -fopenmp would bring a second runtime beside the one that LibTorch loads. These
/// functions call that one's entry point, so that one pool serves LibTorch's kernels and ours.
#pragma once
#include <cstdint>
#include <type_traits>

namespace hone::machine {

namespace detail {
using RangeBody = void (*)(void* context, int64_t begin, int64_t end);
void run_ranges(int64_t count, int64_t grain, RangeBody body, void* context);
}  // namespace detail

/// Calls body(begin, end) on equal ranges that cover [0, count) once: one a thread of LibTorch, but
/// no more than one per `grain` items. The split follows from count, grain and
/// at::get_num_threads() alone. Runs in the calling thread where that is one range or where the
/// caller is in a parallel loop already. Rethrows the exception of the first range that threw.
template <class Body>
void parallel_for(int64_t count, int64_t grain, Body&& body) {
  using Type = std::remove_reference_t<Body>;
  detail::run_ranges(
      count, grain,
      [](void* context, int64_t begin, int64_t end) { (*static_cast<Type*>(context))(begin, end); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

/// Treats subnormal floats as zero, or not, in the calling thread, in its pool and in the threads
/// that they start later. Where products are subnormal, a GEMM is a hundred times slower.
void set_flush_subnormals(bool flush);

}  // namespace hone::machine
