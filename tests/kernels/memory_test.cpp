#include "hone/kernels/memory.h"

#include <sys/resource.h>
#include <torch/types.h>

#include <random>
#include <utility>
#include <vector>

#include "hone/core/sanitizer.h"
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

TEST_CASE("kept memory is used again without page faults, until it is given back") {
  if (kAddressSanitizer) return;
  CHECK(faults_of_a_tensor() > 10);  // even pages of 2 MiB would be 32
  REQUIRE(keep_freed_memory());
  CHECK(faults_of_a_tensor() > 10);
  for (int i = 0; i < 5; ++i) CHECK(faults_of_a_tensor() < 10);
  return_freed_memory();
  CHECK(faults_of_a_tensor() > 10);
}

/// A tensor's own number in its first and last element.
at::Tensor numbered(int64_t elements, float number) {
  at::Tensor tensor = at::empty({elements});
  tensor[0] = number;
  tensor[-1] = number;
  return tensor;
}

TEST_CASE("kept memory: tensors of all sizes, from before and after, live and die in any order") {
  std::vector<at::Tensor> tensors{numbered(1 << 20, 0)};
  keep_freed_memory();
  std::mt19937 random(3);
  for (int i = 1; i < 2000; ++i) {
    tensors.push_back(
        numbered(1 + random() % (int64_t{1} << (4 + random() % 18)), static_cast<float>(i)));
    CHECK(reinterpret_cast<uintptr_t>(tensors.back().data_ptr()) % 64 == 0);
    if (tensors.size() > 40) {
      std::swap(tensors[random() % tensors.size()], tensors.back());
      CHECK(tensors.back()[0].item<float>() == tensors.back()[-1].item<float>());
      tensors.pop_back();
    }
  }
  CHECK(at::empty({0}).numel() == 0);
  const at::Tensor grown = at::arange(1 << 16).clone();
  grown.resize_({1 << 20});
  CHECK(grown[65535].item<int64_t>() == 65535);
}

}  // namespace
}  // namespace hone::kernels
