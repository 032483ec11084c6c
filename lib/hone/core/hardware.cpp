#include "hone/core/hardware.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace hone {
namespace {

/// The rest of the first line of `path` that starts with `key`, after ':' and blanks.
std::string field(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t begin = line.find_first_not_of(" \t", line.find(':') + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

int64_t kilobytes(const char* path, const std::string& key) {
  std::istringstream text(field(path, key));
  int64_t value = 0;
  text >> value;
  return value * 1024;
}

std::vector<std::string> cpu_features() {
  const std::string flags = " " + field("/proc/cpuinfo", "flags") + " ";
  std::vector<std::string> found;
  for (const char* name : {"avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile"}) {
    if (flags.find(std::string(" ") + name + " ") != std::string::npos) found.emplace_back(name);
  }
  return found;
}

int64_t memory_limit() {
  int64_t bytes = kilobytes("/proc/meminfo", "MemTotal");
  std::ifstream group("/sys/fs/cgroup/memory.max");
  int64_t limit = 0;
  if (group >> limit && limit > 0) bytes = std::min(bytes, limit);
  return bytes;
}

}  // namespace

HardwareReport detect_hardware() {
  HardwareReport report;
  report.cpu_model = field("/proc/cpuinfo", "model name");
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) report.cores = CPU_COUNT(&set);
  report.cpu_features = cpu_features();
  report.memory_bytes = memory_limit();
  return report;
}

int64_t resident_bytes() { return kilobytes("/proc/self/status", "VmRSS"); }
int64_t peak_resident_bytes() { return kilobytes("/proc/self/status", "VmHWM"); }

}  // namespace hone
