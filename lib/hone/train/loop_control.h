/// What the training loop measures for a board of controllers, and what they may change in it.
#pragma once
#include <cstdint>
#include <string>
#include <utility>

#include "hone/core/json.h"
#include "hone/optim/optimizer.h"
#include "hone/train/controllers/controller_board.h"
#include "hone/train/controllers/noise_scale.h"
#include "hone/train/controllers/smoothing.h"
#include "hone/train/evaluation.h"
#include "hone/train/options.h"
#include "hone/train/snapshots.h"

namespace hone::train {

struct StepStats;

/// The loop's knobs and signals. Without a board it is what the options say, and measures nothing.
class LoopControl {
 public:
  /// `board` may be null; it gets the knobs lr_scale, accumulation, weight_decay, clip_norm, stop,
  /// snapshot and rollback.
  LoopControl(const TrainOptions& options, optim::Optimizer& optimizer, ControllerBoard* board);

  double lr_scale() const { return lr_scale_; }
  int64_t accumulation() const { return accumulation_; }
  double clip_norm() const { return clip_norm_; }
  bool stopped() const { return stop_; }
  /// Whether the state went back to a snapshot since the last call.
  bool take_rolled_back() { return std::exchange(rolled_back_, false); }
  Snapshots& snapshots() { return snapshots_; }

  void at_start(int64_t step);
  /// After the first of several batches of a step, whose targets weigh `weight`: its gradient
  /// tells, beside the whole step's, how noisy gradients are.
  void after_first_batch(double weight);
  /// Sets the signals of a step; ask() then asks the controllers.
  void measure(const StepStats& stats, double seconds);
  void ask(int64_t step);
  /// Sets the signals of an evaluation and asks the controllers.
  void after_evaluation(const Evaluation& evaluation);
  /// Asks the controllers when the run is over.
  void at_end(int64_t step);

  /// Writes snapshots into a checkpoint's folder, returns the rest of the state; and back.
  Json save(const std::string& folder) const;
  void load(const std::string& folder, const Json& state);

 private:
  void add_knobs();

  optim::Optimizer& optimizer_;
  ControllerBoard* const board_;
  Snapshots snapshots_;
  double lr_scale_ = 1;
  int64_t accumulation_;
  double clip_norm_;
  bool stop_ = false;
  bool rolled_back_ = false;
  int64_t step_ = 0;                          // now, for snapshots
  double first_norm_ = 0, first_weight_ = 0;  // of the step's first batch; weight 0: not measured
  Ema loss_;
  Slope slope_;
  NoiseScale noise_;
};

}  // namespace hone::train
