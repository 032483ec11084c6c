/// Stopping a run from outside: SIGINT and SIGTERM ask it to save and leave.
#pragma once

namespace hone::train {

/// While it lives, the first SIGINT or SIGTERM only sets a flag, which the training loop reads
/// between steps; a second one ends the process as if nothing had been installed.
/// One within another shares the outer one's flag, so that no signal is lost between loops.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// The signal that came, or 0.
  static int received();
};

}  // namespace hone::train
