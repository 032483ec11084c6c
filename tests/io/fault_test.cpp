// Saves that are killed at every point, and disks that fail at every call.
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <torch/types.h>

#include <cstring>

#include "hone/core/error.h"
#include "hone/io/checkpoint.h"
#include "hone/io/files.h"
#include "hone/io/run_folder.h"
#include "support.h"
#include "support/catch.h"
#include "syscall_faults.h"

namespace hone::io {
namespace {

namespace fs = std::filesystem;
using test::Fault;
using test::run_with_fault;

constexpr int kIoError = 3, kOtherError = 4;
const std::vector<std::string> kNames = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};

/// What a run does at a checkpoint: goes on, saves step `step`, whose tensors all hold `step`, logs
/// a row, rotates. The text of an IoError goes to `message`.
int save(const std::string& path, int64_t step, char* message) {
  try {
    RunFolder run = RunFolder::create(path, fs::exists(path + "/metrics.jsonl"));
    AtomicFolder checkpoint = run.begin_checkpoint(step);
    NamedTensors tensors;
    for (const std::string& name : kNames) {
      tensors.emplace_back(name, at::full({4}, static_cast<double>(step)));
    }
    write_checkpoint(checkpoint.path(), {{"step", step}}, tensors, {.max_shard_bytes = 20});
    checkpoint.commit({{"step", step}});
    run.metrics().write({{"step", step}});
    run.rotate(2);
    return 0;
  } catch (const IoError& error) {
    std::strncpy(message, error.what(), 4095);
    return kIoError;
  } catch (...) {
    return kOtherError;
  }
}

/// Memory that a child can leave a message in.
struct SharedText {
  char* text = static_cast<char*>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ~SharedText() { ::munmap(text, 4096); }
};

/// Goes on with the run and loads its newest checkpoint whole; gives the step.
int64_t recover(const std::string& path) {
  RunFolder run = RunFolder::create(path, true);
  const auto newest = run.newest();
  REQUIRE(newest);
  const Checkpoint checkpoint = Checkpoint::open(newest->path);
  REQUIRE(checkpoint.config()["step"] == newest->step);
  REQUIRE(checkpoint.names() == kNames);
  for (const std::string& name : kNames) {
    REQUIRE(checkpoint.load(name).eq(static_cast<double>(newest->step)).all().item<bool>());
  }
  return newest->step;
}

/// "checkpoint-7.tmp-123", ".trash-checkpoint-7-123" and the like, in the folder of checkpoints.
size_t temporaries(const std::string& path) {
  size_t found = 0;
  for (const auto& entry : fs::directory_iterator(path + "/checkpoints")) {
    const std::string name = entry.path().filename();
    found += name.find(".tmp-") != std::string::npos || name.starts_with(".trash-");
  }
  return found;
}

TEST_CASE("a save killed at any point leaves the newest complete checkpoint loadable") {
  const test::TemporaryFolder root("/dev/shm");
  const std::string path = root.file("run");
  SharedText message;
  REQUIRE(save(path, 1, message.text) == 0);
  int64_t newest = 1, kills = 0, at_new = 0;
  for (int64_t at = 1;; ++at) {
    INFO("killed at point " << at);
    const auto outcome =
        run_with_fault([&] { return save(path, newest + 1, message.text); }, {.at = at});
    const int64_t now = recover(path);
    if (!outcome.struck) {
      CHECK(outcome.exit_code == 0);
      CHECK(now == newest + 1);
      break;
    }
    CHECK((now == newest || now == newest + 1));
    ++kills;
    at_new += now == newest + 1;
    newest = now;
  }
  CHECK(kills >= 500);
  CHECK(at_new > 0);
  CHECK(at_new < kills);
}

TEST_CASE("a call that fails while saving is one clear error, and the old checkpoint stands") {
  const test::TemporaryFolder root("/dev/shm");
  const std::string path = root.file("run");
  SharedText message;
  REQUIRE(save(path, 1, message.text) == 0);
  const std::set<long> calls = {SYS_write,  SYS_fsync,     SYS_openat,    SYS_mkdir,
                                SYS_rename, SYS_renameat2, SYS_ftruncate, SYS_statfs};
  int64_t newest = 1, failures = 0;
  for (const int error : {ENOSPC, EIO, EROFS}) {
    for (int64_t at = 1;; ++at) {
      INFO(std::strerror(error) << " at call " << at);
      const auto outcome = run_with_fault([&] { return save(path, newest + 1, message.text); },
                                          {.at = at, .error = error, .calls = calls});
      REQUIRE(outcome.exit_code);
      INFO("message: " << message.text);
      CHECK((outcome.exit_code == 0 || outcome.exit_code == kIoError));
      if (outcome.exit_code == kIoError) {
        ++failures;
        CHECK_THAT(message.text, Catch::StartsWith(path) && Catch::Contains(std::strerror(error)));
        CHECK(temporaries(path) == 0);
      }
      const int64_t now = recover(path);
      CHECK((now == newest || now == newest + 1));
      newest = now;
      if (!outcome.struck) break;
    }
  }
  CHECK(failures >= 100);
}

/// The paths whose flush, failing, `work` names in its IoError; each once, in their order.
std::vector<std::string> flushed(const std::function<void()>& work) {
  SharedText message;
  const auto child = [&] {
    try {
      work();
      return 0;
    } catch (const IoError& error) {
      std::strncpy(message.text, error.what(), 4095);
      return kIoError;
    }
  };
  std::vector<std::string> paths;
  for (int64_t at = 1;; ++at) {
    if (!run_with_fault(child, {.at = at, .error = EIO, .calls = {SYS_fsync}}).struck) return paths;
    const std::string text = message.text;
    paths.push_back(text.substr(0, text.find(": cannot flush to disk: Input/output error")));
  }
}

/// The name without the process's number.
std::vector<std::string> without_ids(std::vector<std::string> paths) {
  for (std::string& path : paths) {
    const size_t mark = path.find(".tmp-");
    if (mark == std::string::npos) continue;
    const size_t end = path.find('/', mark);
    path = path.substr(0, mark) + ".tmp" + (end == std::string::npos ? "" : path.substr(end));
  }
  return paths;
}

TEST_CASE("what appears has been flushed before: files, folders, and where they are named") {
  const test::TemporaryFolder root("/dev/shm");
  const std::string model = root.file("model"), file = root.file("file");
  CHECK(without_ids(flushed([&] {
          AtomicFolder folder(model, AtomicFolder::Existing::kReplace);
          fs::create_directory(folder.path() + "/sub");
          write_file(folder.path() + "/sub/a", "text");
          folder.commit();
        })) == std::vector<std::string>{model + ".tmp/manifest.json", model + ".tmp/sub/a",
                                        model + ".tmp/sub", model + ".tmp", root.path});
  CHECK(without_ids(flushed([&] { replace_file_atomically(file, "text"); })) ==
        std::vector<std::string>{file + ".tmp", root.path});
}

TEST_CASE("file systems without renameat2's flags are served by rename") {
  const test::TemporaryFolder root("/dev/shm");
  const std::string path = root.file("run");
  SharedText message;
  REQUIRE(save(path, 1, message.text) == 0);
  for (const int64_t step : {2, 2}) {  // a new folder, then one replaced
    const auto outcome = run_with_fault([&] { return save(path, step, message.text); },
                                        {.at = 1, .error = EINVAL, .calls = {SYS_renameat2}});
    INFO(message.text);
    CHECK(outcome.struck);
    CHECK(outcome.exit_code == 0);
    CHECK(temporaries(path) == 0);
    CHECK(recover(path) == 2);
  }
}

TEST_CASE("a limit on file sizes, at every size, is one clear error") {
  const test::TemporaryFolder root("/dev/shm");
  const std::string path = root.file("run");
  SharedText message;
  REQUIRE(save(path, 1, message.text) == 0);
  int64_t newest = 1;
  size_t failures = 0;
  for (rlim_t size = 0; size <= 4000; size += 200) {
    INFO("limit " << size);
    const auto outcome = run_with_fault(
        [&] {
          ::signal(SIGXFSZ, SIG_IGN);
          const rlimit limit = {size, size};
          ::setrlimit(RLIMIT_FSIZE, &limit);
          return save(path, newest + 1, message.text);
        },
        {});
    REQUIRE(outcome.exit_code);
    CHECK((outcome.exit_code == 0 || outcome.exit_code == kIoError));
    if (outcome.exit_code == kIoError) {
      ++failures;
      CHECK_THAT(message.text, Catch::Contains("File too large"));
    }
    newest = recover(path);
    CHECK(temporaries(path) == 0);
  }
  CHECK(failures >= 2);
  CHECK(newest > 1);
}

}  // namespace
}  // namespace hone::io
