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

class ControllerBoard;
class Signals;

/// What one optimiser step did.
struct StepStats {
  int64_t step = 0;  ///< counted from 1
  double loss = 0;   ///< weighted mean nll over the step's targets
  double lr = 0;
  double weight = 0;     ///< of the targets, together
  double grad_norm = 0;  ///< before clipping
  int64_t tokens = 0;    ///< positions processed in this step
  bool skipped = false;  ///< the loss or the gradient was not finite
};

/// A stretch of a run with an optimiser and a schedule of its own; a run may have several.
struct Phase {
  std::string name;            ///< its checkpoints resume only a phase of this name
  int64_t first_step = 0;      ///< where its steps begin in the run's count
  bool evaluate_first = true;  ///< whether to score before its first step
  std::string word = "step";   ///< what progress lines call a step of it
  double seconds = 0;          ///< that the phases before it took, see Outcome
};

/// What a path hands to the loop. `next_batch`, `loss` and `nll` are required.
struct Task {
  std::function<data::Batch()> next_batch;
  /// Forward pass of one batch with its graph; undivided (LossSum).
  std::function<loss::LossSum(const data::Batch&)> loss;
  TokenNll nll;
  std::vector<EvaluationSet> evaluation;
  /// Writes into / reads from a checkpoint folder all that `optimizer` does not hold: weights or
  /// adapter as files; the position of the data and the like as the returned JSON. Without them the
  /// run keeps no checkpoints.
  std::function<Json(const std::string& folder)> save;
  std::function<void(const std::string& folder, const Json& state)> load;
  /// Called after each evaluation but the first; false ends the run (guard).
  std::function<bool(const Evaluation&)> after_evaluation;
  /// Whether to save a checkpoint after each evaluation that did not end the run, so that a path
  /// can go back to the last one that passed.
  bool save_evaluated = false;
  /// Fields added to each row of metrics.jsonl, e.g. the domain weights.
  std::function<Json()> extra_metrics;
  /// The controllers that adapt the run, if any; not owned. They are asked after each step and
  /// evaluation, steps being the run's; the loop sets what it measures itself (train/adaptation.h).
  ControllerBoard* board = nullptr;
  /// Called before a step's gradients are computed and after it, before the controllers are asked:
  /// for the signals that a path measures. Steps as in StepStats.
  std::function<void(int64_t step)> before_step;
  std::function<void(int64_t step, Signals&)> measure;
};

enum class Ending { kDone, kStopped, kDiverged, kSignal };

struct Outcome {
  Ending ending = Ending::kDone;
  int signal = 0;                ///< for kSignal
  int64_t steps = 0;             ///< optimiser steps done, resumed ones included
  int64_t tokens = 0;            ///< positions processed, resumed ones included
  int64_t skipped = 0;           ///< non-finite steps
  double seconds = 0;            ///< of training, earlier phases and processes included,
                                 ///< without evaluation
  double tokens_per_second = 0;  ///< of this process
  double loss = 0;               ///< mean of the last log_every steps
};

/// Runs `options.steps` steps of AdamW on the task:
///   gradient = sum over `accumulation` batches of grad(sum) / total weight, clipped;
/// one division per step, so that accumulation does not change the result.
///
/// A step whose loss or gradient is not finite changes nothing but its count; more than
/// max_nonfinite of them in a row end the run as kDiverged. Evaluates before the first step (where
/// the phase asks), every eval_every and after the last. Checkpoints hold weights, optimiser,
/// generator and data position: a run resumed from one equals the uninterrupted run bit for bit on
/// the same machine and thread count. A board's "stop" ends the run early, as kDone.
///
/// `evaluations` are the run's so far; the phase appends its own. Where the folder's newest
/// checkpoint is of this phase the loop goes on from there, and they become the checkpoint's.
/// Throws: what the task throws; IoError from saving.
Outcome run(const TrainOptions& options, kernels::FusedAdamW& optimizer, const Task& task,
            io::RunFolder& folder, const Phase& phase, std::vector<Evaluation>& evaluations);

}  // namespace hone::train
