#include "hone/machine/device.h"

#include <ATen/Parallel.h>
#include <sys/mman.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include "hone/core/error.h"
#include "hone/machine/hardware.h"
#include "hone/machine/memory.h"
#include "hone/machine/parallel.h"
#include "support/catch.h"

namespace hone::machine {
namespace {

TEST_CASE("preparing sets threads, generator and the handling of subnormals") {
  const DevicePlan plan = prepare_device(DeviceChoice::kCpu, 1, 7);
  CHECK(plan.device.is_cpu());
  CHECK(plan.weights == at::kFloat);
  CHECK(at::get_num_threads() == 1);
  const at::Tensor drawn = torch::rand({4});
  prepare_device(DeviceChoice::kCpu, 2, 7);
  CHECK(at::get_num_threads() == 2);
  CHECK(torch::equal(torch::rand({4}), drawn));
  prepare_device(DeviceChoice::kCpu, 1, 8);
  CHECK_FALSE(torch::equal(torch::rand({4}), drawn));
  const at::Tensor tiny = at::full({1}, 1e-38F);
  CHECK((tiny * 1e-3F).item<float>() == 0);
  set_flush_subnormals(false);
}

TEST_CASE("without a CUDA device auto is the CPU, and cuda is refused with the reason") {
  if (torch::cuda::is_available()) return;
  CHECK(prepare_device(DeviceChoice::kAuto, 1, 0).device.is_cpu());
  set_flush_subnormals(false);
  CHECK_THROWS_WITH(prepare_device(DeviceChoice::kCuda, 1, 0),
                    built_with_cuda()
                        ? "/device: cuda was asked for, but this machine has no usable CUDA device"
                        : "/device: cuda was asked for, but this build has none; configure with "
                          "-DHONE_CUDA=ON (preset cuda)");
  set_flush_subnormals(false);
}

TEST_CASE("a process may take what the machine has less what it holds") {
  const int64_t whole = device_memory_bytes(at::kCPU);
  CHECK(whole == detect_hardware().memory_bytes);
  const int64_t before = memory_headroom_bytes(at::kCPU, whole);
  CHECK(before < whole);
  constexpr size_t kHeld = 32 << 20;  // straight from the system: freed memory is kept for tensors
  void* held = ::mmap(nullptr, kHeld, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  REQUIRE(held != MAP_FAILED);
  CHECK(before - memory_headroom_bytes(at::kCPU, whole) > 24 << 20);
  ::munmap(held, kHeld);
}

}  // namespace
}  // namespace hone::machine
