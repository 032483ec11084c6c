#include "syscall_faults.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <stdexcept>

namespace hone::io::test {
namespace {

void trace(__ptrace_request request, pid_t child, size_t address, long data) {
  if (::ptrace(request, child, address, data) < 0) throw std::runtime_error("ptrace failed");
}

/// Lets the child run to its next stop; false once it is gone.
bool next_stop(pid_t child, int& status) {
  trace(PTRACE_SYSCALL, child, 0, 0);
  ::waitpid(child, &status, 0);
  return !WIFEXITED(status) && !WIFSIGNALED(status);
}

/// Turns the call that the child is about to make into one that fails with `error`.
void fail_call(pid_t child, int error) {
  trace(PTRACE_POKEUSER, child, offsetof(user, regs.orig_rax), -1);
  int status = 0;
  if (next_stop(child, status)) {
    trace(PTRACE_POKEUSER, child, offsetof(user, regs.rax), -error);
  }
}

}  // namespace

Outcome run_with_fault(const std::function<int()>& child_main, const Fault& fault) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) ::_exit(125);
    ::raise(SIGSTOP);
    ::_exit(child_main());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFSTOPPED(status)) throw std::runtime_error("a child process cannot be traced here");
  trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  Outcome outcome;
  int64_t points = 0;
  while (next_stop(child, status)) {
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;  // a signal, not a system call
    __ptrace_syscall_info info;
    trace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, reinterpret_cast<long>(&info));
    const bool entry = info.op == PTRACE_SYSCALL_INFO_ENTRY;
    const bool counts =
        fault.calls.empty() || (entry && fault.calls.count(static_cast<long>(info.entry.nr)) > 0);
    if (!counts || ++points != fault.at) continue;
    outcome.struck = true;
    if (fault.error != 0) {
      fail_call(child, fault.error);
    } else {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      break;
    }
  }
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  return outcome;
}

}  // namespace hone::io::test
