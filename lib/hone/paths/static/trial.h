/// Running the trials of a search, one after another in one process.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/eval/objective.h"
#include "hone/paths/static/config.h"
#include "hone/run/run.h"
#include "hone/tune/search.h"

namespace hone::paths {

/// How a trial ended.
struct TrialResult {
  tune::TrialState state = tune::TrialState::kFail;
  std::vector<double> values;  ///< of a COMPLETE trial, one an objective
  int signal = 0;              ///< that interrupted it
  bool guard_stopped = false;
  tune::Attributes facts;  ///< measured figures, for user attributes
};

/// Runs recipes and measures objectives; what trials share is read once (run::Cache).
class TrialRunner {
 public:
  TrialRunner(const StaticConfig& config, run::Cache& cache);

  /// Runs `config` in the folder `out`. `report(step, value)` gets the first objective at each
  /// evaluation where it is perplexity or loss, and says by true that the trial should stop; at
  /// the last step it is told but cannot stop. A diverged run is PRUNED after a report of NaN.
  /// Throws: what the run or an objective throws.
  TrialResult run(const run::Config& config, const std::string& out,
                  const std::function<bool(int64_t step, double value)>& report);

 private:
  /// One an objective; fewer where a signal came while a command ran.
  std::vector<double> values(const train::Evaluation& last, const std::string& out,
                             const tune::Attributes& facts) const;
  /// One an objective, null where there is none; empty if none has one.
  Json standard_errors() const;

  const StaticConfig& config_;
  run::Cache& cache_;
  std::vector<eval::ObjectiveMeter> meters_;
  bool saves_model_ = false;
  std::map<size_t, eval::Measurement> measured_;  // objectives of the model itself, by index
};

/// User attributes of a trial's measured figures.
inline constexpr const char* kSeconds = "hone:train_seconds";
inline constexpr const char* kStepSeconds = "hone:step_seconds";
inline constexpr const char* kPeak = "hone:peak_bytes";

}  // namespace hone::paths
