/// What machine this is, for manifests, plans and choices that follow the hardware.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace hone::machine {

struct HardwareReport {
  std::string cpu_model;
  int cores = 1;  ///< usable by this process (affinity)
  std::vector<std::string>
      cpu_features;          ///< of: avx2, fma, avx512f, avx512_vnni, avx512_bf16, amx_tile
  int64_t memory_bytes = 0;  ///< of the machine, or of its control group if less
};

HardwareReport detect_hardware();

/// CPU threads, and what says how many.
struct ThreadCount {
  int64_t count = 1;
  std::string reason;
  /// "2 CPU threads (OMP_NUM_THREADS)"
  std::string text() const;
};
/// `asked` where it is above 0; else OMP_NUM_THREADS where that begins with a count, else every
/// core.
ThreadCount thread_count(int64_t asked);

/// Resident set size of this process now, and its highest value so far (VmHWM), in bytes.
int64_t resident_bytes();
int64_t peak_resident_bytes();

}  // namespace hone::machine
