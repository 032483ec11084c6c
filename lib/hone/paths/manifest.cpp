#include "hone/paths/manifest.h"

#include <ATen/Parallel.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include "hone/core/hardware.h"
#include "hone/core/version.h"

namespace hone::paths {

Json make_manifest(const std::string& app, uint64_t seed, const DevicePlan& device,
                   const std::string& weights, const Json& data) {
  const HardwareReport hardware = detect_hardware();
  return {{"app", app},
          {"versions", {{"hone", version()}, {"libtorch", TORCH_VERSION}}},
          {"seed", seed},
          {"threads", at::get_num_threads()},
          {"device", device.device.str()},
          {"dtype", c10::toString(device.weights)},
          {"hardware",
           {{"cpu", hardware.cpu_model},
            {"cores", hardware.cores},
            {"features", hardware.cpu_features},
            {"memory_bytes", hardware.memory_bytes},
            {"cuda_devices", static_cast<int64_t>(torch::cuda::device_count())}}},
          {"base_weights", weights.empty() ? Json(nullptr) : Json(weights)},
          {"data", data}};
}

}  // namespace hone::paths
