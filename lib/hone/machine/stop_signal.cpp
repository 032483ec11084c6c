#include "hone/machine/stop_signal.h"

#include <signal.h>
#include <unistd.h>

#include <initializer_list>

#include "hone/core/process.h"

namespace hone::machine {
namespace {

volatile sig_atomic_t received_signal = 0;
int alive = 0;    // of this process
pid_t owner = 0;  // the process that `alive` counts; a fork begins anew

void handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  ::sigaction(signal, &action, nullptr);
}

void note(int signal) {
  received_signal = signal;
  for (int second : {SIGINT, SIGTERM}) handle(second, SIG_DFL, 0);
}

}  // namespace

StopSignal::StopSignal() {
  if (owner != getpid()) alive = 0;
  owner = getpid();
  if (++alive > 1) return;
  received_signal = 0;
  for (int signal : {SIGINT, SIGTERM}) handle(signal, note, SA_RESTART);
  set_process_check(&StopSignal::check);
}

StopSignal::~StopSignal() {
  if (--alive > 0) return;
  set_process_check(nullptr);
  for (int signal : {SIGINT, SIGTERM}) handle(signal, SIG_DFL, 0);
}

int StopSignal::received() { return alive > 0 ? received_signal : 0; }

}  // namespace hone::machine
