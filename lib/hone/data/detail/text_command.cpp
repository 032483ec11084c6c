#include "hone/data/detail/text_command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/json.h"

extern char** environ;

namespace hone::data::detail {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kShownError = 2000;
constexpr auto kTick = std::chrono::milliseconds(50);

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

struct Pipe {
  Descriptor read, write;

  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      throw Error(std::string("cannot make a pipe: ") + std::strerror(errno));
    }
    read = Descriptor(ends[0]);
    write = Descriptor(ends[1]);
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
  const sigset_t& pipe() const { return pipe_; }

 private:
  sigset_t pipe_, before_;
};

class TextCommand {
 public:
  TextCommand(const std::vector<std::string>& command, const std::vector<std::string>& texts,
              double timeout_seconds, const std::function<void(size_t, std::string)>& take)
      : texts_(texts), timeout_(timeout_seconds), take_(take) {
    for (const std::string& word : command) name_ += (name_.empty() ? "" : " ") + word;
    start(command);
  }
  ~TextCommand() {
    if (status_) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }

  void run() {
    move_deadline();
    // A program's own children may hold its output open: its end is what counts.
    while (output_.open() && !ended()) exchange();
    while (output_.open() && read_output()) {
    }
    input_.close();
    while (!ended()) wait_for_end();
    while (error_.open() && read_error()) {
    }
    check_status();
    if (answers_ < texts_.size()) {
      fail("gave " + std::to_string(answers_) + " answers to " + std::to_string(texts_.size()) +
           " texts");
    }
    if (!line_.empty()) fail("wrote more than one line a text");
  }

 private:
  void start(const std::vector<std::string>& command) {
    Pipe input, output, error;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_adddup2(&actions, input.read.get(), 0);
    ::posix_spawn_file_actions_adddup2(&actions, output.write.get(), 1);
    ::posix_spawn_file_actions_adddup2(&actions, error.write.get(), 2);
    ::posix_spawnattr_setsigmask(&attributes, &signals_.before());
    ::posix_spawnattr_setsigdefault(&attributes, &signals_.pipe());
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    const int failure =
        ::posix_spawnp(&child_, words[0], &actions, &attributes, words.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failure != 0) {
      status_ = 0;  // there is no child
      fail(std::string("cannot be started: ") + std::strerror(failure));
    }
    input_ = std::move(input.write);
    output_ = std::move(output.read);
    error_ = std::move(error.read);
    for (const Descriptor* end : {&input_, &output_, &error_}) {
      ::fcntl(end->get(), F_SETFL, O_NONBLOCK);
    }
  }

  /// Waits until something can be read or written, or for a tick, and does it.
  void exchange() {
    check_deadline();
    if (input_.open() && pending_.empty() && sent_ == texts_.size()) input_.close();
    std::array<pollfd, 3> ends = {pollfd{input_.get(), POLLOUT, 0},
                                  pollfd{output_.get(), POLLIN, 0},
                                  pollfd{error_.get(), POLLIN, 0}};
    ::poll(ends.data(), ends.size(), static_cast<int>(kTick.count()));
    if (ends[0].revents != 0) write_input();
    if (ends[1].revents != 0) read_output();
    if (ends[2].revents != 0) read_error();
  }

  void write_input() {
    if (pending_.empty()) {
      pending_ = Json{{"text", texts_[sent_++]}}.dump() + "\n";
    }
    const ssize_t wrote = ::write(input_.get(), pending_.data(), pending_.size());
    if (wrote > 0) {
      pending_.erase(0, static_cast<size_t>(wrote));
    } else if (errno == EPIPE) {
      input_.close();  // it reads no more; its answers tell whether that is wrong
    }
  }

  /// Reads once; false when there is nothing (more) to be read.
  bool read_output() {
    std::array<char, 65536> buffer;
    const ssize_t got = ::read(output_.get(), buffer.data(), buffer.size());
    if (got < 0) return errno == EINTR;
    if (got == 0) {
      output_.close();
      return false;
    }
    for (std::string_view rest(buffer.data(), static_cast<size_t>(got)); !rest.empty();) {
      const size_t end = rest.find('\n');
      line_ += rest.substr(0, end);
      check_size();
      if (end == std::string_view::npos) break;
      answer();
      rest.remove_prefix(end + 1);
    }
    return true;
  }

  void check_size() const {
    if (answers_ == texts_.size()) {
      if (!line_.empty()) fail("line " + std::to_string(answers_ + 1) + ": is one too many");
      return;
    }
    const size_t limit = (size_t{64} << 10) + 16 * texts_[answers_].size();
    if (line_.size() > limit) {
      fail("line " + std::to_string(answers_ + 1) + ": is over the limit of " +
           std::to_string(limit) + " bytes for this text");
    }
  }

  void answer() {
    const std::string where = "line " + std::to_string(answers_ + 1);
    if (answers_ == texts_.size()) fail(where + ": is one too many");
    Json json;
    try {
      json = parse_json(line_, where);
    } catch (const IoError& error) {
      // "line N: line 1: reason": an answer is one line.
      const std::string inner = where + ": line 1: ", reason = error.what();
      fail(where + ": not valid JSON: " +
           reason.substr(reason.starts_with(inner) ? inner.size() : where.size() + 2));
    }
    if (!json.is_object() || json.size() != 1 || !json.contains("text") ||
        !json.at("text").is_string()) {
      fail(where + ": must be {\"text\": \"...\"}, got " + line_.substr(0, 80));
    }
    line_.clear();
    move_deadline();
    take_(answers_++, json.at("text").get<std::string>());
  }

  bool read_error() {
    std::array<char, 4096> buffer;
    const ssize_t got = ::read(error_.get(), buffer.data(), buffer.size());
    if (got < 0) return errno == EINTR;
    if (got == 0) {
      error_.close();
      return false;
    }
    said_.append(buffer.data(), static_cast<size_t>(got));
    if (said_.size() > kShownError) said_.erase(0, said_.size() - kShownError);
    return true;
  }

  bool ended() {
    int status = 0;
    if (!status_ && ::waitpid(child_, &status, WNOHANG) == child_) status_ = status;
    return status_.has_value();
  }

  void wait_for_end() {
    check_deadline();
    pollfd end{error_.get(), POLLIN, 0};
    ::poll(&end, 1, static_cast<int>(kTick.count()));
    if (error_.open() && end.revents != 0) read_error();
  }

  void check_deadline() const {
    if (Clock::now() <= deadline_) return;
    const std::string within = " within " + Json(timeout_).dump() + " seconds";
    if (answers_ == texts_.size()) fail("did not end" + within + " of its last answer");
    fail("line " + std::to_string(answers_ + 1) + ": no answer" + within);
  }

  void check_status() const {
    if (WIFSIGNALED(*status_)) {
      fail("was ended by signal " + std::to_string(WTERMSIG(*status_)) + " after " +
           std::to_string(answers_) + " answers");
    }
    if (WEXITSTATUS(*status_) != 0) {
      fail("ended with status " + std::to_string(WEXITSTATUS(*status_)) + " after " +
           std::to_string(answers_) + " answers");
    }
  }

  void move_deadline() {
    deadline_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                   std::chrono::duration<double>(timeout_));
  }

  [[noreturn]] void fail(const std::string& reason) const {
    std::string said = said_;
    while (!said.empty() && said.back() == '\n') said.pop_back();
    throw Error("back-translation: the command \"" + name_ + "\": " + reason +
                (said.empty() ? "" : "; it says: " + said));
  }

  const std::vector<std::string>& texts_;
  const double timeout_;
  const std::function<void(size_t, std::string)>& take_;
  std::string name_;
  NoPipeSignal signals_;
  pid_t child_ = -1;
  std::optional<int> status_;  ///< of waitpid, once it has ended
  Descriptor input_, output_, error_;
  std::string pending_;  ///< of the line being written
  size_t sent_ = 0;
  std::string line_;  ///< of the answer being read
  size_t answers_ = 0;
  std::string said_;  ///< the end of its standard error
  Clock::time_point deadline_;
};

}  // namespace

void run_text_command(const std::vector<std::string>& command,
                      const std::vector<std::string>& texts, double timeout_seconds,
                      const std::function<void(size_t, std::string)>& take) {
  if (texts.empty()) return;
  TextCommand(command, texts, timeout_seconds, take).run();
}

}  // namespace hone::data::detail
