#include "hone/kernels/memory.h"

#include <sys/resource.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdlib>

#include "support/catch.h"

namespace hone::kernels {
namespace {

/// Pages that the kernel has to find for a tensor of 64 MiB that is filled.
int64_t faults_of_a_tensor() {
  const auto faults = [] {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
  };
  const auto before = faults();
  at::empty({int64_t{16} << 20}).fill_(1);
  return faults() - before;
}

TEST_CASE("kept memory is used again without page faults") {
  if (std::getenv("ASAN_OPTIONS")) return;  // the sanitizer has an allocator of its own
  CHECK(faults_of_a_tensor() > 10);         // even pages of 2 MiB would be 32
  REQUIRE(keep_freed_memory());
  // A small block may have settled beside the freed one, so that it is too short by its alignment:
  // then the next tensor lies elsewhere, but not each time.
  int64_t fewest = faults_of_a_tensor();
  for (int i = 0; i < 5; ++i) fewest = std::min(fewest, faults_of_a_tensor());
  CHECK(fewest < 10);
}

}  // namespace
}  // namespace hone::kernels
