/// Choosing where a run computes.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

#include "hone/core/names.h"

namespace hone::machine {

enum class DeviceChoice { kAuto, kCpu, kCuda };

/// A device and the number formats used on it.
struct DevicePlan {
  at::Device device = at::kCPU;
  at::ScalarType weights = at::kFloat;  ///< of weights and activations: bfloat16 on a GPU
};

/// Sets threads, seeds the generators, flushes subnormals and lets the process keep freed memory
/// (machine/memory.h), then picks the device: auto takes a CUDA device if this build and machine
/// have one. `threads` as thread_count() takes it.
/// Throws: ConfigError if `choice` is cuda and there is none.
DevicePlan prepare_device(DeviceChoice choice, int64_t threads, uint64_t seed);

/// Memory of a CUDA device; of the machine, or of its control group if less, for the CPU.
int64_t device_memory_bytes(at::Device device);

/// What this process may still take of it: free memory of a CUDA device; for the CPU
/// device_memory_bytes, given as `whole`, less what the process holds.
int64_t memory_headroom_bytes(at::Device device, int64_t whole);

/// Whether this build can use CUDA devices at all.
bool built_with_cuda();

}  // namespace hone::machine

template <>
struct hone::EnumNames<hone::machine::DeviceChoice> {
  static constexpr std::pair<machine::DeviceChoice, const char*> values[] = {
      {machine::DeviceChoice::kAuto, "auto"},
      {machine::DeviceChoice::kCpu, "cpu"},
      {machine::DeviceChoice::kCuda, "cuda"}};
};
