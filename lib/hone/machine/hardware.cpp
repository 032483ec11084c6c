#include "hone/machine/hardware.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace hone::machine {
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

/// The least limit of a control group and those above it; `bytes` if there is none below.
int64_t least_limit(const std::string& root, std::string group, const char* name, int64_t bytes) {
  while (true) {
    std::ifstream file(root + group + "/" + name);
    int64_t limit = 0;
    if (file >> limit && limit > 0) bytes = std::min(bytes, limit);
    const size_t slash = group.rfind('/');
    if (slash == std::string::npos) return bytes;
    group.resize(slash);
  }
}

int64_t memory_limit() {
  int64_t bytes = kilobytes("/proc/meminfo", "MemTotal");
  std::ifstream groups("/proc/self/cgroup");  // lines "number:controllers:path"
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      bytes = least_limit("/sys/fs/cgroup", group, "memory.max", bytes);
    } else if (("," + controllers + ",").find(",memory,") != std::string::npos) {
      bytes = least_limit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes", bytes);
    }
  }
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

std::string ThreadCount::text() const {
  return std::to_string(count) + (count == 1 ? " CPU thread (" : " CPU threads (") + reason + ")";
}

ThreadCount thread_count(int64_t asked) {
  constexpr int64_t kMost = 4096;  // as the key "threads"
  if (asked > 0) return {asked, "threads"};
  ThreadCount all{detect_hardware().cores, "every core"};
  const char* variable = std::getenv("OMP_NUM_THREADS");
  if (!variable || *variable == '\0') return all;
  // "4", or "4,2" for nested regions, blanks around; OpenMP's own form.
  std::istringstream text(variable);
  int64_t count = 0;
  char next = ',';
  if (text >> count && (text >> std::ws, text.eof() || (text >> next && next == ',')) &&
      count >= 1 && count <= kMost) {
    return {count, "OMP_NUM_THREADS"};
  }
  all.reason += "; OMP_NUM_THREADS \"" + std::string(variable) + "\" is no count";
  return all;
}

int64_t resident_bytes() { return kilobytes("/proc/self/status", "VmRSS"); }
int64_t peak_resident_bytes() { return kilobytes("/proc/self/status", "VmHWM"); }

}  // namespace hone::machine
