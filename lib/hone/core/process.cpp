#include "hone/core/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <thread>
#include <utility>

#include "hone/core/error.h"

namespace hone {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kTick = std::chrono::milliseconds(50);
constexpr auto kGrace = std::chrono::seconds(2);  // between SIGTERM and SIGKILL

std::atomic<void (*)()> common_check = nullptr;

[[noreturn]] void fail(const char* what) {
  throw Error(std::string(what) + ": " + std::strerror(errno));
}

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { close(); }

  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

/// `fd` by a number that is none of the standard streams'.
Descriptor clear_of_standard(int fd) {
  if (fd > 2) return Descriptor(fd);
  const Descriptor low(fd);
  Descriptor high(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!high.open()) fail("cannot copy a descriptor");
  return high;
}

struct Pipe {
  Descriptor read, write;

  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail("cannot make a pipe");
    read = clear_of_standard(ends[0]);
    write = clear_of_standard(ends[1]);
  }
};

/// Keeps SIGPIPE from this thread: a write to a program that has ended fails instead.
class NoPipeSignal {
 public:
  NoPipeSignal() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoPipeSignal() {
    const timespec now{};
    while (::sigtimedwait(&pipe_, nullptr, &now) > 0) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  const sigset_t& before() const { return before_; }

 private:
  sigset_t pipe_, before_;
};

/// In the child of vfork(): nothing here may allocate, throw or return.
[[noreturn]] void become(char* const* words, const std::array<int, 3>& streams,
                         const sigset_t& signals, pid_t parent, volatile int& failure) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() == parent) {
    ::setpgid(0, 0);
    struct sigaction usual = {};
    usual.sa_handler = SIG_DFL;
    for (const int signal : {SIGINT, SIGTERM, SIGPIPE}) ::sigaction(signal, &usual, nullptr);
    for (int i = 0; i < 3; ++i) ::dup2(streams[i], i);
    ::sigprocmask(SIG_SETMASK, &signals, nullptr);
    ::execvp(words[0], words);
    failure = errno;
  }
  ::_exit(127);
}

/// Starts the program as the leader of a group; 0 in `failure` if it runs, else why not.
pid_t start(const std::vector<std::string>& command, const std::array<int, 3>& streams,
            const sigset_t& signals, int& failure) {
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  volatile int error = 0;
  const pid_t parent = ::getpid();
  sigset_t all, now;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &now);  // the child shares this process's memory until exec
  const pid_t child = ::vfork();
  if (child == 0) become(words.data(), streams, signals, parent, error);
  failure = child < 0 ? errno : error;
  ::pthread_sigmask(SIG_SETMASK, &now, nullptr);
  return child;
}

/// A program and its pipes; what is left of it is ended with this.
class Running {
 public:
  Running(const std::vector<std::string>& command, const ProcessStreams& streams)
      : streams_(streams) {
    Pipe input, output, error;
    if (!streams.input) input.write.close();
    int failure = 0;
    child_ = start(command, {input.read.get(), output.write.get(), error.write.get()},
                   signals_.before(), failure);
    if (failure != 0) {
      if (child_ > 0) ::waitpid(child_, nullptr, 0);
      throw Error(std::string("cannot be started: ") + std::strerror(failure));
    }
    input_ = std::move(input.write);
    output_ = std::move(output.read);
    error_ = std::move(error.read);
    for (const Descriptor* end : {&input_, &output_, &error_}) {
      if (end->open()) ::fcntl(end->get(), F_SETFL, O_NONBLOCK);
    }
  }
  ~Running() {
    if (reaped_) return;
    // Until it is reaped its number, which is the group's, is given to nobody else.
    ::kill(-child_, SIGTERM);
    for (const auto end = Clock::now() + kGrace; !ended() && Clock::now() < end;) {
      std::this_thread::sleep_for(kTick / 10);
    }
    ::kill(-child_, SIGKILL);
    reap();
  }

  int run() {
    // A program's own children may hold its output open: its end is what counts.
    while ((output_.open() || error_.open()) && !ended()) exchange();
    input_.close();
    while (output_.open() && read(output_, streams_.output)) {
    }
    while (error_.open() && read(error_, streams_.error)) {
    }
    while (!ended()) {
      check();
      std::this_thread::sleep_for(kTick / 10);
    }
    return reap();
  }

 private:
  /// Waits until something can be read or written, or for a tick, and does it.
  void exchange() {
    check();
    if (input_.open() && pending_.empty()) {
      pending_ = streams_.input();
      if (pending_.empty()) input_.close();
    }
    std::array<pollfd, 3> ends = {pollfd{input_.get(), POLLOUT, 0},
                                  pollfd{output_.get(), POLLIN, 0},
                                  pollfd{error_.get(), POLLIN, 0}};
    ::poll(ends.data(), ends.size(), static_cast<int>(kTick.count()));
    if (ends[0].revents != 0) write();
    if (ends[1].revents != 0) read(output_, streams_.output);
    if (ends[2].revents != 0) read(error_, streams_.error);
  }

  void check() const {
    if (streams_.check) streams_.check();
    if (void (*check)() = common_check) check();
  }

  void write() {
    const ssize_t wrote = ::write(input_.get(), pending_.data(), pending_.size());
    if (wrote > 0) {
      pending_.erase(0, static_cast<size_t>(wrote));
    } else if (errno == EPIPE) {
      input_.close();  // it reads no more; what it says tells whether that is wrong
    }
  }

  /// Reads once; false when there is nothing (more) to be read.
  static bool read(Descriptor& from, const std::function<void(std::string_view)>& take) {
    std::array<char, 65536> buffer;
    const ssize_t got = ::read(from.get(), buffer.data(), buffer.size());
    if (got < 0) return errno == EINTR;
    if (got == 0) {
      from.close();
      return false;
    }
    if (take) take({buffer.data(), static_cast<size_t>(got)});
    return true;
  }

  bool ended() const {
    siginfo_t info = {};
    return ::waitid(P_PID, child_, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
  }

  int reap() {
    int status = 0;
    while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
    }
    reaped_ = true;
    return status;
  }

  const ProcessStreams& streams_;
  NoPipeSignal signals_;
  pid_t child_ = -1;
  bool reaped_ = false;
  Descriptor input_, output_, error_;
  std::string pending_;  // of its input
};

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// Boot and process namespace of this machine, as this process sees them; "" if they are not told.
std::string machine_identity() {
  const std::string boot = first_line("/proc/sys/kernel/random/boot_id");
  std::array<char, 64> space{};
  const ssize_t length = ::readlink("/proc/self/ns/pid", space.data(), space.size());
  if (boot.empty() || length <= 0) return "";
  return boot + " " + std::string(space.data(), static_cast<size_t>(length));
}

struct ProcessState {
  int64_t pid = 0;
  char state = '?';
  std::string start;  // in ticks since the boot
};

/// /proc/<name>/stat: "pid (name) state ppid ... start ...", the start being the 22nd field.
std::optional<ProcessState> process_state(const std::string& name) {
  constexpr int kFieldsBetween = 18;
  const std::string line = first_line("/proc/" + name + "/stat");
  const size_t end = line.rfind(')');
  if (end == std::string::npos) return std::nullopt;
  ProcessState found;
  std::from_chars(line.data(), line.data() + line.size(), found.pid);
  std::istringstream rest(line.substr(end + 1));
  rest >> found.state;
  std::string skipped;
  for (int i = 0; i < kFieldsBetween; ++i) rest >> skipped;
  if (!(rest >> found.start)) return std::nullopt;
  return found;
}

}  // namespace

void TextTail::add(std::string_view piece) {
  bytes_.append(piece);
  if (bytes_.size() > 2 * most_) bytes_.erase(0, bytes_.size() - most_);
}

std::string TextTail::text() const {
  std::string text = bytes_.size() > most_ ? bytes_.substr(bytes_.size() - most_) : bytes_;
  text.erase(text.find_last_not_of(" \t\r\n\f\v") + 1);
  return text;
}

void set_process_check(void (*check)()) { common_check = check; }

int run_process(const std::vector<std::string>& command, const ProcessStreams& streams) {
  if (command.empty()) throw Error("cannot be started: there is no command");
  return Running(command, streams).run();
}

ProcessResult run_process(const std::vector<std::string>& command, const ProcessLimits& limits) {
  ProcessResult result;
  TextTail output(limits.most_output), error(limits.most_error);
  const auto begin = Clock::now();
  ProcessStreams streams;
  streams.output = [&](std::string_view piece) { output.add(piece); };
  streams.error = [&](std::string_view piece) { error.add(piece); };
  streams.check = [&] {
    if (limits.stop && limits.stop()) throw ProcessResult::End::kStopped;
    const std::chrono::duration<double> ran = Clock::now() - begin;
    if (limits.seconds > 0 && ran.count() > limits.seconds) throw ProcessResult::End::kTimedOut;
  };
  try {
    result.status = run_process(command, streams);
  } catch (const ProcessResult::End end) {
    result.end = end;
  }
  result.output = output.text();
  result.error = error.text();
  return result;
}

std::string describe_status(int status) {
  return WIFEXITED(status) ? "status " + std::to_string(WEXITSTATUS(status))
                           : "signal " + std::to_string(WTERMSIG(status));
}

std::string process_identity() {
  const std::string machine = machine_identity();
  const auto own = process_state("self");
  // A /proc of another namespace numbers processes otherwise.
  if (machine.empty() || !own || own->pid != ::getpid()) return "";
  return machine + " " + std::to_string(own->pid) + " " + own->start;
}

bool known_ended(const std::string& identity) {
  const size_t start = identity.rfind(' ');
  if (start == std::string::npos || start == 0) return false;
  const size_t number = identity.rfind(' ', start - 1);
  if (number == std::string::npos || process_identity().empty()) return false;
  if (identity.substr(0, number) != machine_identity()) return false;
  int64_t pid = 0;
  const char *begin = identity.data() + number + 1, *end = identity.data() + start;
  const auto [stop, error] = std::from_chars(begin, end, pid);
  if (error != std::errc() || stop != end || pid <= 0) return false;
  if (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) return true;
  const auto found = process_state(std::to_string(pid));
  if (!found) return false;  // hidden from this user, or ended this very moment
  const bool dead = found->state == 'Z' || found->state == 'X';
  return dead || found->start != identity.substr(start + 1);
}

}  // namespace hone
