#include "hone/data/detail/text_command.h"

#include <chrono>
#include <string_view>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/core/process.h"

namespace hone::data::detail {
namespace {

using Clock = std::chrono::steady_clock;

class TextCommand {
 public:
  TextCommand(const std::vector<std::string>& command, const std::vector<std::string>& texts,
              double timeout_seconds, const std::function<void(size_t, std::string)>& take)
      : command_(command), texts_(texts), timeout_(timeout_seconds), take_(take) {
    for (const std::string& word : command) name_ += (name_.empty() ? "" : " ") + word;
  }

  void run() {
    move_deadline();
    const int status = answered();
    if (status != 0) {
      const std::string ended = describe_status(status);
      fail((ended.starts_with("signal") ? "was ended by " : "ended with ") + ended + " after " +
           std::to_string(answers_) + " answers");
    }
    if (answers_ < texts_.size()) {
      fail("gave " + std::to_string(answers_) + " answers to " + std::to_string(texts_.size()) +
           " texts");
    }
    if (!line_.empty()) fail("wrote more than one line a text");
  }

 private:
  /// Says all texts and takes the answers; how the program ended.
  int answered() {
    ProcessStreams streams;
    streams.input = [this] {
      return sent_ == texts_.size() ? "" : Json{{"text", texts_[sent_++]}}.dump() + "\n";
    };
    streams.output = [this](std::string_view piece) { read(piece); };
    streams.error = [this](std::string_view piece) { said_.add(piece); };
    streams.check = [this] { check_deadline(); };
    try {
      return run_process(command_, streams);
    } catch (const Failure&) {
      throw;
    } catch (const Error& error) {
      if (std::string_view(error.what()).starts_with("cannot be started")) fail(error.what());
      throw;  // of who takes the answers
    }
  }

  void read(std::string_view rest) {
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      line_ += rest.substr(0, end);
      check_size();
      if (end == std::string_view::npos) return;
      answer();
      rest.remove_prefix(end + 1);
    }
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
      // "line N: line 1, column C: reason": an answer is one line.
      const std::string inner = where + ": line 1, ", reason = error.what();
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

  void check_deadline() const {
    if (Clock::now() <= deadline_) return;
    const std::string within = " within " + Json(timeout_).dump() + " seconds";
    if (answers_ == texts_.size()) fail("did not end" + within + " of its last answer");
    fail("line " + std::to_string(answers_ + 1) + ": no answer" + within);
  }

  void move_deadline() {
    deadline_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                   std::chrono::duration<double>(timeout_));
  }

  /// Of the command itself.
  class Failure : public Error {
   public:
    using Error::Error;
  };

  [[noreturn]] void fail(const std::string& reason) const {
    const std::string said = said_.text();
    throw Failure("back-translation: the command \"" + name_ + "\": " + reason +
                  (said.empty() ? "" : "; it says: " + said));
  }

  static constexpr size_t kShownError = 2000;

  const std::vector<std::string>& command_;
  const std::vector<std::string>& texts_;
  const double timeout_;
  const std::function<void(size_t, std::string)>& take_;
  std::string name_;
  size_t sent_ = 0;
  std::string line_;  ///< of the answer being read
  size_t answers_ = 0;
  TextTail said_{kShownError};  ///< its standard error
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
