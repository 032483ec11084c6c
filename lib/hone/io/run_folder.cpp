#include "hone/io/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <sstream>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/core/log.h"

namespace hone::io {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLockFile = ".lock";
constexpr const char* kCheckpoints = "checkpoints";
constexpr std::string_view kCheckpointPrefix = "checkpoint-";

std::string holder() {
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  return "process " + std::to_string(::getpid()) + " on " + host;
}

/// Takes the folder's lock, which the kernel gives back when the process ends, however it ends.
Descriptor lock(const std::string& folder) {
  const std::string path = folder + "/" + kLockFile;
  Descriptor file(path, O_RDWR | O_CREAT, "lock");
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) throw_errno(path, "cannot lock");
    throw IoError(folder, "is in use by " + read_file(path, 4096) +
                              "; wait for it to end or choose another folder");
  }
  if (::ftruncate(file.get(), 0) != 0) throw_errno(path, "cannot cut");
  write_all(file, path, holder());
  return file;
}

/// Whether the rows hold a step that was trained, or are not understood; the base's scores are
/// those of step 0.
bool holds_steps(const std::string& metrics) {
  try {
    std::istringstream rows(read_file(metrics));
    for (std::string row; std::getline(rows, row);) {
      if (rows.eof()) return false;  // torn
      const Json json = parse_json(row, metrics);
      if (!json.is_object() || json.value("step", Json(1)) != 0) return true;
    }
    return false;
  } catch (const IoError&) {
    return true;
  }
}

/// What makes a folder unfit for a new run; "" if nothing does. A run that ended before its first
/// step, for a wrong path in its recipe say, may be started again.
std::string why_not_new(const std::string& folder) {
  const bool ours = path_exists(folder + "/" + kMetricsFile);
  const auto checkpoints = folder + "/" + kCheckpoints;
  std::error_code error;
  if (ours) {
    const bool begun = holds_steps(folder + "/" + kMetricsFile) ||
                       path_exists(folder + "/" + kReportFile) ||
                       (path_exists(checkpoints) && !fs::is_empty(checkpoints, error));
    return begun ? "holds a run; go on with it by --resume, or choose another folder" : "";
  }
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().filename() != kLockFile) {
      return "holds files that are no run of hone; choose another folder";
    }
  }
  return "";
}

/// The N of "checkpoint-N"; nullopt for other names.
std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kCheckpointPrefix)) return std::nullopt;
  const char *begin = name.data() + kCheckpointPrefix.size(), *end = name.data() + name.size();
  int64_t step = 0;
  const auto [stop, error] = std::from_chars(begin, end, step);
  if (error != std::errc() || stop != end || step < 0) return std::nullopt;
  return step;
}

}  // namespace

RunFolder::RunFolder(std::string path, Descriptor lock, bool resumed)
    : path_(std::move(path)), lock_(std::move(lock)), resumed_(resumed) {
  remove_temporaries(path_);
  remove_temporaries(file(kCheckpoints));
  metrics_ = std::make_unique<MetricsWriter>(path_);
}

RunFolder RunFolder::create(const std::string& path, bool resume) {
  if (resume && !path_exists(path + "/" + kMetricsFile)) {
    throw IoError(path, "holds no run to resume");
  }
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw IoError(path, "cannot create: " + error.message());
  Descriptor held = lock(path);
  if (!resume) {
    if (const std::string reason = why_not_new(path); !reason.empty()) throw IoError(path, reason);
  }
  return RunFolder(path, std::move(held), resume);
}

void RunFolder::write_json(const std::string& name, const Json& json) const {
  replace_file_atomically(file(name),
                          json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

AtomicFolder RunFolder::begin_checkpoint(int64_t step) {
  return AtomicFolder(
      file(kCheckpoints) + "/" + std::string(kCheckpointPrefix) + std::to_string(step),
      AtomicFolder::Existing::kReplace);
}

std::vector<CheckpointEntry> RunFolder::checkpoints() const {
  std::vector<CheckpointEntry> entries;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(file(kCheckpoints), error)) {
    if (const auto step = step_of(entry.path().filename()))
      entries.push_back({*step, entry.path()});
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.step < b.step; });
  return entries;
}

std::optional<CheckpointEntry> RunFolder::newest(
    const std::function<bool(const CheckpointEntry&)>& wanted) {
  std::vector<CheckpointEntry> entries = checkpoints();
  for (; !entries.empty(); entries.pop_back()) {
    const CheckpointEntry& entry = entries.back();
    const auto reason = verify_manifest(entry.path);
    if (!reason && wanted(entry)) return entry;
    if (!reason) continue;
    const std::string aside =
        file(kCheckpoints) + "/broken-" + fs::path(entry.path).filename().string();
    std::error_code error;
    fs::remove_all(aside, error);
    fs::rename(entry.path, aside, error);
    log_warning(*reason + "; the checkpoint is broken and passed over, now " + aside);
  }
  return std::nullopt;
}

void RunFolder::rotate(int64_t keep, std::optional<int64_t> also) const {
  if (keep < 1)
    throw Error("RunFolder::rotate: keep must be at least 1, got " + std::to_string(keep));
  const std::vector<CheckpointEntry> entries = checkpoints();
  for (size_t i = 0; i + static_cast<size_t>(keep) < entries.size(); ++i) {
    if (entries[i].step != also) remove_folder(entries[i].path);
  }
}

}  // namespace hone::io
