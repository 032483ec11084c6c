// A process that does nothing but save checkpoints is killed at 500 random moments, so nearly every
// kill falls into a save. After each, what it had finished saving must still load, whole.
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "hone/core/file.h"
#include "hone/core/log.h"
#include "hone/io/run_folder.h"

namespace hone::io {
namespace {

constexpr int kKills = 500;

/// What the checkpoint of a step holds in its two files.
std::string content(int64_t step, size_t size) {
  std::mt19937_64 random(static_cast<uint64_t>(step));
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}
std::string weights(int64_t step) { return content(step, 20000 + step % 7 * 30000); }
std::string state(int64_t step) { return content(-step, 500); }

/// Saves one checkpoint after the other and reports each, once committed, through `pipe`.
[[noreturn]] void save_forever(const std::string& path, bool resume, int64_t step, int pipe) {
  RunFolder run = RunFolder::create(path, resume);
  run.metrics().write({{"step", step}});
  while (true) {
    ++step;
    AtomicFolder checkpoint = run.begin_checkpoint(step);
    std::ofstream(checkpoint.path() + "/weights", std::ios::binary) << weights(step);
    std::filesystem::create_directory(checkpoint.path() + "/optimizer");
    std::ofstream(checkpoint.path() + "/optimizer/state", std::ios::binary) << state(step);
    checkpoint.commit();
    if (write(pipe, &step, sizeof step) != sizeof step) _exit(1);
    run.rotate(2);
  }
}

TEST_CASE("the newest complete checkpoint loads after a kill at any moment of a save") {
  char name[] = "/tmp/hone-save-kills-XXXXXX";
  const std::string root = mkdtemp(name);
  const std::string path = root + "/run";
  set_log_sink([](LogLevel, std::string_view) {});
  std::mt19937 random(0);
  int64_t step = 0;
  int inside_saves = 0;
  for (int kill_number = 0; kill_number < kKills; ++kill_number) {
    int report[2];
    REQUIRE(pipe(report) == 0);
    const pid_t child = fork();
    if (child == 0) save_forever(path, kill_number > 0, step, report[1]);
    close(report[1]);
    // One save at least, so that the folder is there; then some way into a later one.
    int64_t reported = 0, value = 0;
    REQUIRE(read(report[0], &value, sizeof value) == sizeof value);
    usleep(random() % 6000);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    do reported = value;
    while (read(report[0], &value, sizeof value) == sizeof value);
    close(report[0]);
    for (const auto& entry : std::filesystem::directory_iterator(path + "/checkpoints")) {
      const std::string file = entry.path().filename();
      inside_saves +=
          file.find(".tmp-") != std::string::npos || file.find(".trash-") != std::string::npos;
    }

    RunFolder run = RunFolder::create(path, true);
    const auto newest = run.newest();
    REQUIRE(newest);
    INFO("kill " << kill_number << ", reported " << reported);
    REQUIRE(newest->step >= reported);
    REQUIRE(read_file(newest->path + "/weights") == weights(newest->step));
    REQUIRE(read_file(newest->path + "/optimizer/state") == state(newest->step));
    step = newest->step;
  }
  // The test is worth what its kills hit.
  CHECK(inside_saves > kKills / 2);
  set_log_sink(nullptr);
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace hone::io
