/// Stopping a run from outside: SIGINT and SIGTERM ask it to save and leave.
#pragma once
#include <exception>

namespace hone::machine {

/// The exit code of a process that a signal ended, as shells tell it.
constexpr int signal_exit_code(int signal) { return 128 + signal; }

/// Thrown by StopSignal::check(): what was begun is given up. No hone::Error, since nothing is
/// wrong.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "stopped by a signal"; }
};

/// While it lives, the first SIGINT or SIGTERM only sets a flag, which the training loop reads
/// between steps, evaluations between batches and paths between their parts, and which ends
/// programs of the user's that are waited for (core/process.h); a second one ends the process as if
/// nothing had been installed. One within another shares the outer one's flag, so that no signal is
/// lost between loops: a run holds one from its first moment to its last.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// The signal that came, or 0; 0 also where none lives.
  static int received();
  /// Throws: Interrupted if a signal came.
  static void check() {
    if (received() != 0) throw Interrupted();
  }
};

}  // namespace hone::machine
