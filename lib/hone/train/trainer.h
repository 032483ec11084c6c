/// The training loop. It knows no model: a path hands it functions.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/data/batch.h"
#include "hone/io/run_folder.h"
#include "hone/kernels/adamw.h"
#include "hone/loss/loss_sum.h"
#include "hone/train/evaluation.h"
#include "hone/train/options.h"

namespace hone::train {

/// Scores at one moment of the run.
struct Evaluation {
  int64_t step = 0;
  std::vector<Score> scores;
};

/// What one optimiser step did.
struct StepStats {
  int64_t step = 0;         ///< counted from 1
  double loss = 0;          ///< weighted mean nll over the step's targets
  double lr = 0;
  double grad_norm = 0;     ///< before clipping
  int64_t tokens = 0;       ///< positions processed in this step
  bool skipped = false;     ///< the loss or the gradient was not finite
};

/// What a path hands to the loop. `next_batch`, `loss`, `nll`, `save` and `load` are required.
struct Task {
  std::function<data::Batch()> next_batch;
  /// Forward pass of one batch with its graph; undivided (LossSum).
  std::function<loss::LossSum(const data::Batch&)> loss;
  TokenNll nll;
  std::vector<EvaluationSet> evaluation;
  /// Writes into / reads from a checkpoint folder all that `optimizer` does not hold: weights or
  /// adapter as files; the position of the data and the like as the returned JSON.
  std::function<Json(const std::string& folder)> save;
  std::function<void(const std::string& folder, const Json& state)> load;
  /// Called after each evaluation during the run; false ends the run (guard).
  std::function<bool(const Evaluation&)> after_evaluation;
  /// Fields added to each row of metrics.jsonl, e.g. the domain weights.
  std::function<Json()> extra_metrics;
};

enum class Ending { kDone, kStopped, kDiverged, kSignal };

struct Outcome {
  Ending ending = Ending::kDone;
  int signal = 0;                       ///< for kSignal
  int64_t steps = 0;                    ///< optimiser steps done, resumed ones included
  int64_t tokens = 0;                   ///< positions processed, resumed ones included
  int64_t skipped = 0;                  ///< non-finite steps
  double seconds = 0;                   ///< of training in this process, without evaluation
  double tokens_per_second = 0;         ///< of this process
  double loss = 0;                      ///< mean of the last log_every steps
  std::vector<Evaluation> evaluations;  ///< before, during and after
};

/// Runs `options.steps` steps of AdamW on the task:
///   gradient = sum over `accumulation` batches of grad(sum) / total weight, clipped;
/// one division per step, so that accumulation does not change the result.
///
/// A step whose loss or gradient is not finite changes nothing but its count; more than
/// max_nonfinite of them in a row end the run as kDiverged. Evaluates before the first and after
/// the last step and every eval_every. Checkpoints hold weights, optimiser, generator and data
/// position: a run resumed from one equals the uninterrupted run bit for bit on the same machine
/// and thread count.
///
/// `phase` names this stretch of a run of several; its checkpoints resume only the same phase.
/// `first_step` is where its steps begin in the run's count.
/// Throws: what the task throws; IoError from saving.
Outcome run(const TrainOptions& options, kernels::FusedAdamW& optimizer, const Task& task,
            io::RunFolder& folder, const std::string& phase, int64_t first_step);

}  // namespace hone::train
