/// The folder of a run: configuration, manifest, metrics, checkpoints, report.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/io/atomic.h"
#include "hone/io/files.h"
#include "hone/io/metrics.h"

namespace hone::io {

/// Names inside a run folder, for write_json.
constexpr const char* kConfigFile = "config.json";  ///< the resolved configuration
constexpr const char* kReportFile = "report.json";
/// Rows that a run appends.
constexpr const char* kMetricsFile = "metrics.jsonl";
constexpr const char* kDecisionsFile = "decisions.jsonl";

/// A checkpoint that is complete.
struct CheckpointEntry {
  int64_t step = 0;
  std::string path;
};

/// An open, locked run folder. Moves, does not copy; the lock ends with it (or with the process).
class RunFolder {
 public:
  /// Makes the folder, or opens it to go on with the run in it if `resume`. Removes what a killed
  /// process left half written.
  /// Throws: IoError if another process holds it (named), if it holds a run or foreign files and
  ///   not `resume`, if it holds no run and `resume`.
  static RunFolder create(const std::string& path, bool resume);

  const std::string& path() const { return path_; }
  /// Whether this is a run gone on with.
  bool resumed() const { return resumed_; }
  /// path() + "/" + name.
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  /// Writes a JSON file, replacing an older one atomically.
  void write_json(const std::string& name, const Json& json) const;
  MetricsWriter& metrics() { return *metrics_; }

  /// checkpoints/checkpoint-<step>, in the making; commit() it. One of that step is replaced.
  AtomicFolder begin_checkpoint(int64_t step);
  /// Every checkpoint folder, complete or not, by step.
  std::vector<CheckpointEntry> checkpoints() const;
  /// The newest whose manifest verifies. Broken ones on the way are logged, passed over and renamed
  /// to "broken-checkpoint-<step>", so that rotate() never keeps one in place of a good one.
  std::optional<CheckpointEntry> newest() {
    return newest([](const CheckpointEntry&) { return true; });
  }
  /// The newest of those that are `wanted`, which is asked of complete ones only.
  std::optional<CheckpointEntry> newest(const std::function<bool(const CheckpointEntry&)>& wanted);
  /// Removes all but the newest `keep` (at least 1) and the one of step `also`.
  void rotate(int64_t keep, std::optional<int64_t> also = std::nullopt) const;

 private:
  RunFolder(std::string path, Descriptor lock, bool resumed);

  std::string path_;
  Descriptor lock_;
  bool resumed_ = false;
  std::unique_ptr<MetricsWriter> metrics_;
};

}  // namespace hone::io
