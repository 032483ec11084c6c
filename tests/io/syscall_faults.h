/// Runs a function in a child process and kills it, or makes a system call fail, at a chosen point.
/// The child is traced (ptrace), so that the code under test is the code that ships.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <set>

namespace hone::io::test {

struct Fault {
  /// Point at which it strikes, counted from 1. Every system call has two: before it and after it.
  /// With `calls`, the points are the entries of those calls alone.
  int64_t at = 0;
  int error = 0;         ///< errno that the call gives instead of being run; 0: SIGKILL
  std::set<long> calls;  ///< numbers of system calls; empty for all
};

struct Outcome {
  bool struck = false;           ///< false: the child ended before the point
  std::optional<int> exit_code;  ///< nullopt if it was killed
};

/// `child` gives the exit code. Throws std::runtime_error if a child cannot be traced.
Outcome run_with_fault(const std::function<int()>& child, const Fault& fault);

}  // namespace hone::io::test
