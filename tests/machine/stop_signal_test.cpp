#include "hone/machine/stop_signal.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "hone/core/process.h"

namespace hone::machine {
namespace {

/// How a child ends that runs this.
template <class Work>
int status_of(const Work& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST_CASE("the first signal is remembered as long as one lives, and asks to stop") {
  CHECK(StopSignal::received() == 0);
  {
    const StopSignal stop;
    CHECK_NOTHROW(StopSignal::check());
    ::raise(SIGTERM);
    CHECK(StopSignal::received() == SIGTERM);
    CHECK_THROWS_AS(StopSignal::check(), Interrupted);
    {
      const StopSignal inner;  // shares the outer one's flag
      CHECK(StopSignal::received() == SIGTERM);
    }
    CHECK(StopSignal::received() == SIGTERM);
  }
  CHECK(StopSignal::received() == 0);
  const StopSignal next;
  CHECK(StopSignal::received() == 0);
  ::raise(SIGINT);
  CHECK(StopSignal::received() == SIGINT);
}

TEST_CASE("a second signal ends the process, and so does one where none lives") {
  const int second = status_of([] {
    const StopSignal stop;
    ::raise(SIGINT);
    ::raise(SIGTERM);
    return 0;
  });
  CHECK((WIFSIGNALED(second) && WTERMSIG(second) == SIGTERM));
  const int after = status_of([] {
    {
      const StopSignal stop;
    }
    ::raise(SIGINT);
    return 0;
  });
  CHECK((WIFSIGNALED(after) && WTERMSIG(after) == SIGINT));
}

TEST_CASE("a fork begins anew") {
  const StopSignal stop;
  ::raise(SIGTERM);
  const int status = status_of([] {
    const StopSignal own;
    return StopSignal::received();
  });
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

}  // namespace
}  // namespace hone::machine
