/// Programs of the user's that run beside this process, and whether another process still lives.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hone {

/// The end of what a program writes: the last `most` bytes.
class TextTail {
 public:
  explicit TextTail(size_t most) : most_(most) {}
  void add(std::string_view piece);
  /// Without the white space at its end.
  std::string text() const;

 private:
  size_t most_;
  std::string bytes_;
};

/// What is said to a program and heard from it. All are called by the thread that runs it; what
/// they throw ends the program and is passed on.
struct ProcessStreams {
  /// The next bytes of its standard input, "" after the last. Unset: its input is empty.
  std::function<std::string()> input;
  /// Take pieces of its standard output and error as they come. Unset: dropped.
  std::function<void(std::string_view piece)> output, error;
  /// Called at least every 50 ms while it runs.
  std::function<void()> check;
};

/// Sets what every run_process() of this process calls as often, after its own check; null for
/// nothing. By it a signal that asks a run to stop ends the program that the run waits for.
void set_process_check(void (*check)());

/// Runs `command` (a program, looked up in PATH, and its arguments; no shell sees them) in a
/// process group of its own until it has ended and its output is read; what its children write
/// after its own end is not waited for. Returns what waitpid() says of it. Where a stream throws,
/// the whole group is ended: SIGTERM, and SIGKILL for what is left two seconds later. If this
/// process dies, the program gets SIGTERM. Throws: Error "cannot be started: <why>"; what the
/// streams throw.
int run_process(const std::vector<std::string>& command, const ProcessStreams& streams);

/// Bounds of a program that is run for what it prints.
struct ProcessLimits {
  double seconds = 0;                     ///< that it may run; 0 sets no bound
  std::function<bool()> stop;             ///< asked at least every 50 ms; true ends it
  size_t most_output = size_t{64} << 10;  ///< bytes kept of its output, the last ones
  size_t most_error = 2000;
};
struct ProcessResult {
  enum class End { kOwn, kTimedOut, kStopped };
  End end = End::kOwn;
  int status = 0;             ///< of waitpid, for kOwn
  std::string output, error;  ///< their ends
};

/// Runs a program without input and keeps the end of what it says. Throws: Error if it cannot be
/// started.
ProcessResult run_process(const std::vector<std::string>& command, const ProcessLimits& limits);

/// "status 3" or "signal 9", of a status of waitpid().
std::string describe_status(int status);

/// Tells this process from all others of this and every machine: boot, process namespace, number
/// and start. "" where /proc does not say.
std::string process_identity();
/// Whether the process of that identity has ended for certain: it was one of this boot and
/// namespace, and is no more. False for processes of other machines, whose state is not known.
bool known_ended(const std::string& identity);

}  // namespace hone
