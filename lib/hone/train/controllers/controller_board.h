/// Runs a run's controllers, or a record of them.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/train/controllers/controller.h"
#include "hone/train/controllers/decisions.h"
#include "hone/train/controllers/knobs.h"
#include "hone/train/controllers/signals.h"

namespace hone::train {

/// Controllers in the order in which they are asked.
using Controllers = std::vector<std::unique_ptr<Controller>>;

struct BoardOptions {
  bool dry_run = false;  ///< decisions are written, and nothing is changed
  /// The decisions of an earlier run, applied at their steps instead of asking the controllers.
  std::optional<std::vector<Decision>> replay;
};

/// Asks the controllers at each moment of a run and carries out and writes down what they decide.
/// The trainer and the path add their knobs and set the signals.
class ControllerBoard {
 public:
  /// `log` may be null: decisions are then written nowhere.
  /// Throws: hone::Error naming a knob that two controllers own.
  ControllerBoard(Controllers controllers, DecisionLog* log, BoardOptions options = {});

  Knobs& knobs() { return knobs_; }
  Signals& signals() { return signals_; }
  /// Called for each decision that is made, after it was carried out.
  std::function<void(const Decision&)> decided;

  /// Before the phase that the controllers adapt, whose steps begin at `first_step` in the run's
  /// count: controllers count steps of the phase, decisions those of the run.
  void begin(int64_t first_step);
  /// Asks all controllers at a step of the run. Throws: hone::Error naming the controller, and what
  /// a replayed decision does not find as it was.
  void run(Moment moment, int64_t step);

  /// Tells all controllers, see Controller::snapshot_lost.
  void snapshot_lost(const std::string& name);

  /// The controllers' states, and how far a replay and the log have come. restore() drops what was
  /// written of later decisions.
  Json state() const;
  void restore(const Json& state);
  /// Drops written decisions of later steps.
  void rewind(int64_t step);

 private:
  class LoggingSetter;

  void apply(Decision decision);
  void replay(Moment moment, int64_t step);

  Controllers controllers_;
  DecisionLog* log_;
  BoardOptions options_;
  Knobs knobs_;
  Signals signals_;
  size_t replayed_ = 0;
  int64_t first_step_ = 0;
};

}  // namespace hone::train
