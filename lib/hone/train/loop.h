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
#include "hone/loss/loss_sum.h"
#include "hone/optim/optimizer.h"
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
  /// Called with the phase's first evaluation, the one before its first step, whoever made it.
  std::function<void(const Evaluation&)> first_evaluation;
  /// Called after each further one; false ends the run (guard). `last`: no step follows it.
  std::function<bool(const Evaluation&, bool last)> after_evaluation;
  /// Whether to save a checkpoint after the first evaluation and each that did not end the run, so
  /// that a path can go back to the last one that passed. It is kept beside the newest.
  bool save_evaluated = false;
  /// Fields added to each row of metrics.jsonl, e.g. the domain weights.
  std::function<Json()> extra_metrics;
  /// What progress lines tell beside the loss; "" for nothing.
  std::function<std::string()> beside;
  /// The controllers that adapt the run, if any; not owned. They are asked after each step and
  /// evaluation, steps being the run's; the loop sets what it measures itself
  /// (train/loop_control.h).
  ControllerBoard* board = nullptr;
  /// Called after each step, before it is measured; one that was skipped changed nothing.
  std::function<void(const StepStats&)> after_step;
  /// Called before a step's gradients are computed and after it, before the controllers are asked:
  /// for the signals that a path measures. Steps as in StepStats.
  std::function<void(int64_t step)> before_step;
  std::function<void(const StepStats&, Signals&)> measure;
};

enum class Ending { kDone, kStopped, kDiverged, kSignal };

struct Outcome {
  Ending ending = Ending::kDone;
  int signal = 0;                     ///< for kSignal
  int64_t steps = 0;                  ///< optimiser steps done, resumed ones included
  int64_t tokens = 0;                 ///< positions processed, resumed ones included
  int64_t skipped = 0;                ///< non-finite steps
  double seconds = 0;                 ///< of training, earlier phases and processes included,
                                      ///< without evaluation
  double mean_tokens_per_second = 0;  ///< of the phase
  double loss = 0;                    ///< mean of the last log_every steps
  bool measured = false;  ///< whether the last evaluation is of the weights as they are now
};

/// Runs `options.steps` steps of the optimiser on the task:
///   gradient = sum over `accumulation` batches of grad(sum) / total weight, clipped;
/// one division per step, so that accumulation does not change the result.
///
/// A step whose loss or gradient is not finite changes nothing but its count; more than
/// max_nonfinite of them in a row end the run as kDiverged, and so does a run of no other steps or
/// one whose parameters are not finite at its end. Evaluates before the first step (where the phase
/// asks), every eval_every and after the last. Checkpoints hold weights, optimiser, generator and
/// data position: a run resumed from one equals the uninterrupted run bit for bit on the same
/// machine and thread count. A board's "stop" ends the run early, as kDone.
///
/// A phase that keeps checkpoints (save_every or save_evaluated) saves a last one when it is over,
/// kDone or kStopped: resumed from it, it only says so again.
/// A signal ends it as kSignal at the next step or batch of an evaluation, after saving.
///
/// `evaluations` are the run's so far; the phase appends its own. Where the folder's newest
/// checkpoint is of this phase the loop goes on from there, and they become the checkpoint's.
/// Throws: what the task throws; IoError from saving.
Outcome run_loop(const TrainOptions& options, optim::Optimizer& optimizer, const Task& task,
                 io::RunFolder& folder, const Phase& phase, std::vector<Evaluation>& evaluations);

}  // namespace hone::train
