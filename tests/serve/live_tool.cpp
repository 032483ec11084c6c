// live_tool --out FOLDER [--serve PORT] [--steps N]: a load that looks like a training run, for
// tests and benchmarks. Each step keeps every core busy for some hundredths of a second and appends
// a row; --serve shows the folder. With --steps 0 it serves until its input ends. Prints the page's
// address.
#include <fmt/core.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <limits>
#include <map>
#include <optional>
#include <thread>
#include <vector>

#include "hone/io/json_lines.h"
#include "hone/io/run_folder.h"
#include "hone/serve/live_view.h"

namespace {

using hone::Json;
using Clock = std::chrono::steady_clock;

/// A fixed amount of arithmetic.
double work() {
  constexpr int kSize = 320;
  std::vector<float> a(kSize * kSize, 0.5f), b(kSize * kSize, 0.25f), c(kSize * kSize, 0.0f);
  for (int i = 0; i < kSize; ++i) {
    for (int k = 0; k < kSize; ++k) {
      for (int j = 0; j < kSize; ++j) c[i * kSize + j] += a[i * kSize + k] * b[k * kSize + j];
    }
  }
  return c[kSize];
}

/// All cores, together, as a step of training does.
void step_of_work() {
  std::vector<std::thread> threads;
  std::vector<double> results(std::thread::hardware_concurrency());
  for (double& result : results) {
    threads.emplace_back([&result] {
      for (int i = 0; i < 4; ++i) result += work();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

void run(const std::string& folder, int steps) {
  hone::io::JsonLines metrics(folder + "/" + hone::io::kMetricsFile);
  for (int step = 1; step <= steps; ++step) {
    const auto begin = Clock::now();
    step_of_work();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    metrics.write({{"step", step},
                   {"loss", 2 + std::exp(-step / 50.0)},
                   {"lr", 1e-3},
                   {"step_seconds", seconds},
                   {"heads_alive", {{"0", 8 - step / 40}, {"1", 8}}}});
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> options{{"--steps", "0"}};
  for (int i = 1; i + 1 < argc; i += 2) options[argv[i]] = argv[i + 1];
  if (options["--out"].empty()) {
    fmt::print(stderr, "usage: live_tool --out FOLDER [--serve PORT] [--steps N]\n");
    return 2;
  }
  std::filesystem::create_directories(options["--out"]);
  std::optional<hone::serve::LiveView> view;
  if (options.contains("--serve")) {
    view.emplace(options["--out"], std::stoi(options["--serve"]));
    fmt::print("{}\n", view->url());
    std::fflush(stdout);
  }
  const int steps = std::stoi(options["--steps"]);
  if (steps > 0) {
    run(options["--out"], steps);
  } else {
    std::cin.ignore(std::numeric_limits<std::streamsize>::max());
  }
}
