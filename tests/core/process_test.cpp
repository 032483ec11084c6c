#include "hone/core/process.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <thread>

#include "hone/core/error.h"
#include "support/temporary_folder.h"

namespace hone {
namespace {

using Command = std::vector<std::string>;

Command shell(const std::string& script) { return {"sh", "-c", script}; }

ProcessResult result(const Command& command, const ProcessLimits& limits = {}) {
  return run_process(command, limits);
}

/// Waits until the file holds a whole line; returns it.
std::string line_of(const std::string& path) {
  for (;;) {
    std::ifstream file(path);
    std::string line;
    if (std::getline(file, line) && !file.eof()) return line;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

bool lives(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  return std::getline(file, line) && line.find(") Z ") == std::string::npos;
}

TEST_CASE("A program's output and status are kept, and no shell reads its arguments") {
  const ProcessResult echo = result({"echo", "$HOME `x`"});
  CHECK(echo.end == ProcessResult::End::kOwn);
  CHECK(echo.status == 0);
  CHECK(echo.output == "$HOME `x`");
  const ProcessResult failed = result(shell("echo out; echo oh no >&2; exit 3"));
  CHECK(describe_status(failed.status) == "status 3");
  CHECK(failed.output == "out");
  CHECK(failed.error == "oh no");
  CHECK(describe_status(result(shell("kill -9 $$")).status) == "signal 9");
  CHECK(result({"cat"}).output.empty());  // its input is empty, not this process's
}

TEST_CASE("A program that cannot be started is told of at once") {
  CHECK_THROWS_WITH(result({"no-such-program"}), "cannot be started: No such file or directory");
  CHECK_THROWS_WITH(result({"/"}), "cannot be started: Permission denied");
  CHECK_THROWS_AS(result({}), Error);
}

TEST_CASE("Of a long output the end is kept") {
  const ProcessResult many =
      result(shell("seq 1 200000; seq 1 200000 >&2"), {.most_output = 12, .most_error = 6});
  CHECK(many.status == 0);
  CHECK(many.output == "9999\n200000");
  CHECK(many.error == "00000");
}

TEST_CASE("A program over its time is ended") {
  const ProcessResult slow = result(shell("sleep 600; echo 1"), {.seconds = 0.2});
  CHECK(slow.end == ProcessResult::End::kTimedOut);
  CHECK(slow.output.empty());
}

TEST_CASE("A program that is asked to stop ends with its group, even if it ignores SIGTERM") {
  const TemporaryFolder folder;
  const std::string pids = folder.path + "/pids",
                    tell = "echo $! > " + pids + ".new; mv " + pids + ".new " + pids + "; ";
  ProcessLimits limits;
  limits.stop = [&] { return std::ifstream(pids).good(); };
  for (const char* trap : {"", "trap '' TERM; "}) {
    std::remove(pids.c_str());
    const ProcessResult stopped =
        result(shell(std::string(trap) + "sleep 600 & " + tell + "wait; echo 1"), limits);
    CHECK(stopped.end == ProcessResult::End::kStopped);
    CHECK(stopped.output.empty());
    const auto child = static_cast<pid_t>(std::stol(line_of(pids)));
    while (lives(child)) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST_CASE("What a stream throws ends the program and is passed on") {
  ProcessStreams streams;
  streams.output = [](std::string_view) { throw Error("enough"); };
  CHECK_THROWS_WITH(run_process(shell("echo x; exec sleep 600"), streams), "enough");
}

TEST_CASE("A check that the whole process sets ends programs too, after their own") {
  set_process_check([] { throw Error("all stop"); });
  CHECK_THROWS_WITH(result(shell("sleep 600")), "all stop");
  ProcessLimits limits;
  limits.stop = [] { return true; };
  CHECK(result(shell("sleep 600"), limits).end == ProcessResult::End::kStopped);
  set_process_check(nullptr);
  CHECK(result({"echo", "x"}).output == "x");
}

TEST_CASE("A program's own end is what counts, not that of what it leaves behind") {
  const TemporaryFolder folder;
  const std::string pids = folder.path + "/pids";
  const ProcessResult left = result(shell("sleep 600 & echo $! > " + pids + "; echo done"));
  CHECK(left.output == "done");
  const auto child = static_cast<pid_t>(std::stol(line_of(pids)));
  CHECK(lives(child));
  ::kill(child, SIGKILL);
}

TEST_CASE("A program dies with the process that runs it") {
  const TemporaryFolder folder;
  const std::string pids = folder.path + "/pids";
  const pid_t parent = ::fork();
  if (parent == 0) {
    run_process(shell("echo $$ > " + pids + "; exec sleep 600"), ProcessStreams{});
    ::_exit(0);
  }
  const auto child = static_cast<pid_t>(std::stol(line_of(pids)));
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  while (lives(child)) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

TEST_CASE(
    "A process is known by its identity, and known to have ended only where that is certain") {
  const std::string own = process_identity();
  REQUIRE_FALSE(own.empty());
  CHECK_FALSE(known_ended(own));

  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string identity = process_identity();
    _exit(::write(ends[1], identity.data(), identity.size()) > 0 ? 0 : 1);
  }
  ::close(ends[1]);
  std::string identity(1000, '\0');
  ssize_t length = 0;
  for (ssize_t got; (got = ::read(ends[0], identity.data() + length, 100)) > 0;) length += got;
  ::close(ends[0]);
  identity.resize(static_cast<size_t>(length));
  siginfo_t info = {};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
  CHECK(known_ended(identity));  // though its parent has not asked for its end yet
  ::waitpid(child, nullptr, 0);
  CHECK(known_ended(identity));

  const size_t start = own.rfind(' ');
  CHECK(known_ended(own.substr(0, start) + " 1"));      // its number is another's now
  CHECK_FALSE(known_ended("another-boot" + identity));  // of another machine
  for (const char* strange : {"", " ", "x", "a b", "a b c", "a b c d"}) {
    CHECK_FALSE(known_ended(strange));
  }
}

}  // namespace
}  // namespace hone
