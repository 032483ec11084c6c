#include "hone/run/manifest.h"

#include <ATen/Parallel.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include "hone/core/version.h"
#include "hone/machine/hardware.h"
#include "hone/run/compute.h"

namespace hone::run {

Json make_manifest(const std::string& app, uint64_t seed, const machine::DevicePlan& device,
                   Compute compute, const std::string& weights, const Json& data) {
  const machine::HardwareReport hardware = machine::detect_hardware();
  return {{"app", app},
          {"versions", {{"hone", version()}, {"libtorch", TORCH_VERSION}}},
          {"seed", seed},
          {"threads", at::get_num_threads()},
          {"device", device.device.str()},
          {"dtype", c10::toString(device.weights)},
          {kComputeKey, enum_name(compute)},
          {"hardware",
           {{"cpu", hardware.cpu_model},
            {"cores", hardware.cores},
            {"features", hardware.cpu_features},
            {"memory_bytes", hardware.memory_bytes},
            {"cuda_devices", static_cast<int64_t>(torch::cuda::device_count())}}},
          {"base_weights", weights.empty() ? Json(nullptr) : Json(weights)},
          {"data", data}};
}

}  // namespace hone::run
