/// What a trial will need, and whether it may run at all.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hone/model/config.h"
#include "hone/run/cache.h"
#include "hone/run/config.h"
#include "hone/tune/search.h"

namespace hone::model {
class Decoder;
}

namespace hone::paths {

/// Bounds that a trial must keep.
struct TrialLimits {
  double memory_share = 0.9;              ///< of the device's memory
  std::optional<double> seconds;          ///< of its training
  std::optional<int64_t> max_parameters;  ///< of its model
};

/// Predicted figures of one recipe.
struct TrialForecast {
  model::DecoderConfig decoder;
  bool on_gpu = false;
  int64_t parameters = 0;    ///< of the whole model
  int64_t peak_bytes = 0;    ///< of the process
  int64_t device_bytes = 0;  ///< memory of the GPU, or of the machine
  double training_flops = 0;
  double total_flops = 0;  ///< with the evaluations
};

/// Throws: ConfigError for an invalid recipe; what reading its files throws.
TrialForecast forecast(const run::Config& config, run::Cache& cache);

/// Gets a trained model.
using Trained = std::function<void(model::Decoder&, const run::RunTokenizer&)>;

/// Seconds that the recipe's training takes a FLOP, measured on a few steps (their median).
/// `trained` gets the model after them.
double measure_seconds_per_flop(
    const run::Config& config, run::Cache& cache,
    const Trained& trained = [](model::Decoder&, const run::RunTokenizer&) {});

struct BudgetOptions;
/// What a budget allows each of its workers.
TrialLimits trial_limits(const BudgetOptions& budget);

/// Judges points of a search. Constraints, in order: recipe invalid (1 or 0); predicted peak over
/// the limit, as a share of it; and likewise seconds and parameters where they are limited.
class FeasibilityJudge {
 public:
  /// `seconds_per_flop` scales the time limit; 0 while it is unknown, then time limits nothing.
  FeasibilityJudge(const run::Config& base, const TrialLimits& limits, run::Cache& cache,
                   double seconds_per_flop = 0)
      : base_(base), limits_(limits), cache_(cache), seconds_per_flop_(seconds_per_flop) {}

  tune::Feasibility judge(const std::vector<tune::Param>& params) const;

 private:
  const run::Config& base_;
  const TrialLimits limits_;
  run::Cache& cache_;
  const double seconds_per_flop_;
};

/// User attributes of a trial's predicted figures.
inline constexpr const char* kPredictedPeak = "hone:predicted_peak_bytes";
inline constexpr const char* kPredictedSeconds = "hone:predicted_seconds";
inline constexpr const char* kFlops = "hone:predicted_flops";  ///< of the training
inline constexpr const char* kParameters = "hone:parameters";

}  // namespace hone::paths
