#include "hone/machine/device.h"

#include <ATen/Parallel.h>
#include <torch/cuda.h>
#include <torch/types.h>
#include <torch/utils.h>
#ifdef HONE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#endif

#include "hone/core/error.h"
#include "hone/machine/hardware.h"
#include "hone/machine/memory.h"
#include "hone/machine/parallel.h"

namespace hone::machine {

DevicePlan prepare_device(machine::DeviceChoice choice, int64_t threads, uint64_t seed) {
  machine::keep_freed_memory();
  at::set_num_threads(static_cast<int>(thread_count(threads).count));
  machine::set_flush_subnormals(true);
  torch::manual_seed(seed);
  if (choice == machine::DeviceChoice::kCpu) return {};
  if (torch::cuda::is_available()) return {at::Device(at::kCUDA, 0), at::kBFloat16};
  if (choice == machine::DeviceChoice::kAuto) return {};
  throw ConfigError(
      {{"/device", built_with_cuda()
                       ? "cuda was asked for, but this machine has no usable CUDA device"
                       : "cuda was asked for, but this build has none; configure with "
                         "-DHONE_CUDA=ON (preset cuda)"}});
}

int64_t device_memory_bytes(at::Device device) {
#ifdef HONE_CUDA
  if (device.is_cuda()) {
    return static_cast<int64_t>(at::cuda::getDeviceProperties(device.index())->totalGlobalMem);
  }
#endif
  return detect_hardware().memory_bytes;
}

int64_t memory_headroom_bytes(at::Device device, int64_t whole) {
#ifdef HONE_CUDA
  if (device.is_cuda()) {
    size_t available = 0, total = 0;
    const c10::cuda::CUDAGuard guard(device);
    C10_CUDA_CHECK(cudaMemGetInfo(&available, &total));
    // What the caching allocator holds and does not use is the process's own.
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device.index());
    const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    return static_cast<int64_t>(available) + stats.reserved_bytes[all].current -
           stats.allocated_bytes[all].current;
  }
#endif
  return whole - resident_bytes();
}

bool built_with_cuda() {
#ifdef HONE_CUDA
  return true;
#else
  return false;
#endif
}

}  // namespace hone::machine
