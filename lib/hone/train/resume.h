/// What a checkpoint of a run holds beside the weights, and going on from one.
#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "hone/io/run_folder.h"
#include "hone/optim/optimizer.h"
#include "hone/train/loop.h"
#include "hone/train/loop_control.h"

namespace hone::train {

/// The name of the phase that every run ends with.
constexpr const char* kMainPhase = "main";

/// How far a phase has come.
struct Position {
  int64_t step = 0;                  ///< optimiser steps done in the phase
  int64_t tokens = 0;                ///< positions processed
  int64_t skipped = 0;               ///< non-finite steps
  int64_t skipped_in_row = 0;        ///< of them, the last ones
  std::deque<double> losses;         ///< of the last steps, see Progress
  double seconds = 0;                ///< of training, in earlier phases and processes too
  int64_t timed_tokens = 0;          ///< of the phase; older versions kept no time
  double timed_seconds = 0;          ///< that they took
  bool measured = false;             ///< whether the last evaluation is of the weights as they are
  std::optional<int64_t> passed_at;  ///< step of the run of the newest checkpoint that passed
  std::optional<Ending> ended;       ///< how the phase ended, if it has: kDone or kStopped
};

struct Resumed {
  Position position;
  std::vector<Evaluation> evaluations;
};

/// Writes checkpoint-<step of the run>: optimizer.safetensors (optimiser state and the
/// generators'), state.json (the rest of what is named here), the control's snapshots and what
/// task.save writes. Complete or not there.
void save_checkpoint(io::RunFolder& folder, const Phase& phase, const Position& position,
                     const std::vector<Evaluation>& evaluations, const optim::Optimizer& optimizer,
                     const LoopControl& control, const Task& task);

/// Restores all of it from the folder's newest complete checkpoint; nullopt, with nothing changed,
/// if there is none or it is of another phase.
/// Throws: IoError or Error if the checkpoint does not fit the run.
std::optional<Resumed> resume_checkpoint(io::RunFolder& folder, const Phase& phase,
                                         optim::Optimizer& optimizer, LoopControl& control,
                                         const Task& task);

/// The phase that the newest complete checkpoint is of; nullopt without one.
std::optional<std::string> checkpoint_phase(io::RunFolder& folder);

/// Lets task.load restore weights and data position of the newest checkpoint that was saved of an
/// evaluation that passed (Task::save_evaluated), whatever its phase.
/// Returns its step in the run's count. Throws: Error if there is none.
int64_t return_to_passed(io::RunFolder& folder, const Task& task);

}  // namespace hone::train
