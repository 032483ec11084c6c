/// decisions.jsonl: what controllers decided, for people, plots and replays.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/io/json_lines.h"

namespace hone::train {

/// When in a step a controller was asked.
enum class Moment { kStart, kStep, kEvaluation, kEnd };

struct Decision {
  int64_t step = 0;
  Moment moment = Moment::kStep;
  std::string controller;
  std::string rule;  ///< in words
  std::map<std::string, double> signals;
  std::string knob;
  Json before, after;
  bool applied = true;  ///< false in a dry run
};

Json decision_json(const Decision& decision);

/// The file in a run's folder: first a line that tells the run, then a line a decision.
class DecisionLog {
 public:
  /// Opens or makes the file. `run` is what a replay must agree with: {"config", ...}. It takes the
  /// place of another one in the file.
  /// Throws: IoError.
  DecisionLog(const std::string& folder, const Json& run);

  void write(const Decision& decision);
  /// Decisions in the file.
  int64_t written() const { return written_; }
  /// Drops all but the first `count` decisions, for a run that goes on from a checkpoint.
  void keep(int64_t count);
  /// Drops decisions of later steps, likewise.
  void rewind(int64_t step);

 private:
  io::JsonLines lines_;
  int64_t written_ = 0;
};

/// The decisions of a file, in order, for a run that is `run`.
/// Throws: IoError naming the line that is no decision; ConfigError listing where that run differs
///   from this one.
std::vector<Decision> read_decisions(const std::string& path, const Json& run);

}  // namespace hone::train
