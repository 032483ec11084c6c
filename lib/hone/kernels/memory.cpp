#include "hone/kernels/memory.h"

#include <cstdlib>  // defines __GLIBC__

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace hone::kernels {

bool keep_freed_memory() {
#ifdef __GLIBC__
  // No block gets a mapping of its own, and the heap is never cut back.
  return mallopt(M_MMAP_MAX, 0) == 1 && mallopt(M_TRIM_THRESHOLD, -1) == 1;
#else
  return false;
#endif
}

}  // namespace hone::kernels
