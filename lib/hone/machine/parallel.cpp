#include "hone/machine/parallel.h"

#include <ATen/Parallel.h>
#include <immintrin.h>

#include <algorithm>
#include <exception>
#include <vector>

// libgomp's entry points, as GCC's -fopenmp calls them. No header declares GOMP_parallel.
extern "C" {
void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags);
int omp_get_thread_num();
int omp_get_num_threads();
}

namespace hone::machine {
namespace {

constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;  // bits of MXCSR

/// Calls body(i) for i in [0, threads), each in a thread of its own unless OpenMP grants fewer.
template <class Body>
void on_threads(int threads, Body body) {
  struct Task {
    Body& body;
    int threads;
  } task{body, threads};
  const auto run = [](void* data) {
    const auto& [body, threads] = *static_cast<Task*>(data);
    for (int i = omp_get_thread_num(); i < threads; i += omp_get_num_threads()) body(i);
  };
  GOMP_parallel(run, &task, static_cast<unsigned>(threads), 0);
}

}  // namespace

namespace detail {

void run_ranges(int64_t count, int64_t grain, RangeBody body, void* context) {
  if (count <= 0) return;
  const int64_t most = (count + std::max<int64_t>(grain, 1) - 1) / std::max<int64_t>(grain, 1);
  const int threads = at::in_parallel_region()
                          ? 1
                          : static_cast<int>(std::min<int64_t>(most, at::get_num_threads()));
  if (threads == 1) return body(context, 0, count);
  const int64_t length = (count + threads - 1) / threads;
  std::vector<std::exception_ptr> errors(threads);
  const auto run = [&](int thread) {
    const int64_t begin = thread * length, end = std::min(begin + length, count);
    try {
      if (begin < end) body(context, begin, end);
    } catch (...) {
      errors[thread] = std::current_exception();
    }
  };
  on_threads(threads, run);
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace detail

void set_flush_subnormals(bool flush) {
  const unsigned bits = flush ? kFlushToZero | kDenormalsAreZero : 0;
  const auto set = [&](int) {
    _mm_setcsr((_mm_getcsr() & ~(kFlushToZero | kDenormalsAreZero)) | bits);
  };
  on_threads(at::get_num_threads(), set);
}

}  // namespace hone::machine
