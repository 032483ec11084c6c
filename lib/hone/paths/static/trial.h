/// Running the trials of a search, one after another in one process.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/eval/objective.h"
#include "hone/paths/static/config.h"
#include "hone/run/cache.h"
#include "hone/run/config.h"
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
  /// Gets the first objective at each evaluation where it is perplexity or loss, and says by true
  /// that the trial should stop; at the last step it is told but cannot stop.
  using Tell = std::function<bool(int64_t step, double value)>;

  TrialRunner(const StaticConfig& config, run::Cache& cache);

  /// Runs `config` in the folder `out`, without checkpoints and prompts. A diverged run is PRUNED
  /// after a value of NaN. Throws: what the run or an objective throws.
  TrialResult run(const run::Config& config, const std::string& out, const Tell& tell);

 private:
  const StaticConfig& config_;
  run::Cache& cache_;
  std::vector<eval::ObjectiveMeter> meters_;
  bool saves_model_ = false;
};

/// User attributes of a trial's measured figures.
inline constexpr const char* kSeconds = "hone:train_seconds";
inline constexpr const char* kStepSeconds = "hone:step_seconds";
inline constexpr const char* kPeak = "hone:peak_bytes";

}  // namespace hone::paths
