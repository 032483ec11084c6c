#include "hone/machine/hardware.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>
#include <vector>

namespace hone::machine {
namespace {

TEST_CASE("threads are those asked for, else OMP_NUM_THREADS, else every core") {
  const char* before = std::getenv("OMP_NUM_THREADS");
  const std::string kept = before ? before : "";
  const auto text = [](const char* variable) {
    ::setenv("OMP_NUM_THREADS", variable, 1);
    return thread_count(0).text();
  };
  CHECK(text("3") == "3 CPU threads (OMP_NUM_THREADS)");
  CHECK(text(" 1 ") == "1 CPU thread (OMP_NUM_THREADS)");
  CHECK(text("4,2") == "4 CPU threads (OMP_NUM_THREADS)");
  CHECK(thread_count(2).text() == "2 CPU threads (threads)");
  for (const char* wrong : {"0", "-1", "x", "2x", "1e9", "99999999999999999999"}) {
    CHECK(text(wrong).find("every core; OMP_NUM_THREADS \"" + std::string(wrong) + "\" is no") !=
          std::string::npos);
  }
  ::unsetenv("OMP_NUM_THREADS");
  CHECK(thread_count(0).reason == "every core");
  CHECK(thread_count(0).count == detect_hardware().cores);
  if (before) ::setenv("OMP_NUM_THREADS", kept.c_str(), 1);
}

TEST_CASE("hardware is found") {
  const HardwareReport report = detect_hardware();
  CHECK(report.cores >= 1);
  CHECK(report.memory_bytes > (int64_t{1} << 28));
  const int64_t resident = resident_bytes();  // first: memory may grow between the two
  CHECK(peak_resident_bytes() >= resident);
  CHECK(resident_bytes() > 0);
  CHECK_FALSE(report.cpu_model.empty());
  // The build's baseline: a machine without them could not run this.
  for (const char* feature : {"avx2", "fma"}) {
    CHECK(std::count(report.cpu_features.begin(), report.cpu_features.end(), feature) == 1);
  }
}

TEST_CASE("resident memory follows what is touched") {
  const int64_t before = peak_resident_bytes();
  constexpr size_t kBytes = size_t{64} << 20;
  const std::vector<char> block(kBytes, 1);
  CHECK(resident_bytes() > static_cast<int64_t>(kBytes));
  CHECK(peak_resident_bytes() >= before);
  CHECK(block.back() == 1);
}

}  // namespace
}  // namespace hone::machine
