#include "hone/machine/memory.h"

#include <ATen/ops/matmul.h>
#include <dlfcn.h>
#include <sys/resource.h>
#include <torch/types.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/sanitizer.h"
#include "support/catch.h"

namespace hone::machine {
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
  REQUIRE(machine::keep_freed_memory());
  CHECK(faults_of_a_tensor() > 10);
  for (int i = 0; i < 5; ++i) CHECK(faults_of_a_tensor() < 10);
  machine::return_freed_memory();
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
  machine::keep_freed_memory();
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

template <typename Function>
Function* of_mkl(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

void* (*given)(size_t) = nullptr;
std::atomic<int> times_given = 0;

void* count_given(size_t bytes) {
  ++times_given;
  return given(bytes);
}

TEST_CASE("buffers of oneMKL", "[.fresh]") {
  auto* const function = of_mkl<void* (*)(size_t)>("i_malloc");
  if (!machine::keep_freed_memory() || !function) return;
  given = std::exchange(*function, &count_given);
  const at::Tensor a = at::ones({700, 700});
  for (int i = 0; i < 20; ++i) CHECK(at::matmul(a, a)[699][0].item<float>() == 700);
  CHECK(times_given >= 20);
}

// oneMKL reads whom to ask at its first product: that must not be one of another test.
TEST_CASE("kept memory: oneMKL takes the buffers of each matrix product anew and keeps none") {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  CHECK(std::system(("'" + self + "' 'buffers of oneMKL' > /dev/null").c_str()) == 0);
}

TEST_CASE("kept memory: oneMKL's blocks of all sizes may grow and are freed") {
  if (!machine::keep_freed_memory() || !dlsym(RTLD_DEFAULT, "i_malloc")) return;
  auto* const take = *of_mkl<void* (*)(size_t)>("i_malloc");
  auto* const grow = *of_mkl<void* (*)(void*, size_t)>("i_realloc");
  auto* const release = *of_mkl<void (*)(void*)>("i_free");
  for (const size_t size : {size_t{100}, size_t{1} << 20}) {
    for (const size_t larger : {2 * size, size_t{3} << 20}) {
      auto* block = static_cast<char*>(take(size));
      std::memset(block, 7, size);
      block = static_cast<char*>(grow(block, larger));
      REQUIRE(block);
      CHECK((block[0] == 7 && block[size - 1] == 7));
      std::memset(block, 8, larger);
      release(block);
    }
  }
  release(grow(nullptr, 10));
  release(nullptr);
}

}  // namespace
}  // namespace hone::machine
