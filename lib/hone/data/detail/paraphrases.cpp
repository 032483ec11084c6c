#include "hone/data/detail/paraphrases.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/hash.h"
#include "hone/core/json.h"
#include "hone/core/log.h"
#include "hone/data/detail/text_command.h"

namespace hone::data::detail {
namespace {

constexpr off_t kMaxCache = off_t{4} << 30;

/// The cache file, locked for this process until it is closed.
class CacheFile {
 public:
  explicit CacheFile(const std::string& path) : path_(path) {
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd_ < 0) fail("cannot open the back-translation cache");
    try {
      lock();
      check_kind();
    } catch (...) {
      ::close(fd_);
      throw;
    }
  }
  CacheFile(const CacheFile&) = delete;
  ~CacheFile() { ::close(fd_); }

  /// Its whole lines; a torn one at the end is cut off.
  std::string read() {
    struct stat info;
    if (::fstat(fd_, &info) != 0) fail("cannot stat");
    std::string bytes(static_cast<size_t>(info.st_size), '\0');
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t got =
          ::pread(fd_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) fail("cannot read");
      done += static_cast<size_t>(got);
    }
    const size_t whole = bytes.rfind('\n') + 1;  // 0 where there is none
    if (whole < bytes.size() && ::ftruncate(fd_, static_cast<off_t>(whole)) != 0) {
      fail("cannot cut off the torn last line");
    }
    bytes.resize(whole);
    return bytes;
  }

  void append(std::string_view line) {
    while (!line.empty()) {
      const ssize_t wrote = ::write(fd_, line.data(), line.size());
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) fail("cannot append");
      line.remove_prefix(static_cast<size_t>(wrote));
    }
  }

 private:
  void lock() {
    if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
    if (errno != EWOULDBLOCK) fail("cannot lock");
    log_info("back-translation: waits for another run that fills " + path_);
    while (::flock(fd_, LOCK_EX) != 0) {
      if (errno != EINTR) fail("cannot lock");
    }
  }
  void check_kind() {
    struct stat info;
    if (::fstat(fd_, &info) != 0) fail("cannot stat");
    if (!S_ISREG(info.st_mode)) throw IoError(path_, "is not a regular file");
    if (info.st_size > kMaxCache) throw IoError(path_, "is over the limit of 4 GiB");
  }
  [[noreturn]] void fail(const char* what) const {
    throw IoError(path_, std::string(what) + ": " + std::strerror(errno));
  }

  const std::string& path_;
  int fd_ = -1;
};

/// Calls take(key, text) for each line.
template <class Take>
void for_each_entry(const std::string& path, std::string_view lines, const Take& take) {
  for (int64_t number = 1; !lines.empty(); ++number) {
    const size_t end = lines.find('\n');
    const auto fail = [&](const std::string& reason) {
      throw IoError(path, "line " + std::to_string(number) + ": " + reason +
                              "; delete the line, or the file to ask for everything again");
    };
    Json json;
    try {
      json = parse_json(lines.substr(0, end), "back-translation cache");
    } catch (const IoError& error) {
      fail(error.what());
    }
    const bool fits = json.is_object() && json.size() == 2 && json.contains("key") &&
                      json.at("key").is_string() && json.contains("text") &&
                      json.at("text").is_string();
    if (!fits) fail("must be {\"key\": \"...\", \"text\": \"...\"}");
    take(json.at("key").get<std::string>(), json.at("text").get<std::string>());
    lines.remove_prefix(end + 1);
  }
}

}  // namespace

Paraphrases::Paraphrases(std::vector<std::string> command, const std::string& cache_path,
                         double timeout_seconds, const std::vector<std::string>& texts)
    : command_(Json(command).dump()) {
  std::unordered_map<std::string, const std::string*> missing;
  for (const std::string& text : texts) missing.emplace(key(text), &text);

  CacheFile cache(cache_path);
  const std::string lines = cache.read();
  for_each_entry(cache_path, lines, [&](std::string entry, std::string answer) {
    const auto wanted = missing.find(entry);
    if (wanted == missing.end()) return;
    missing.erase(wanted);
    answers_.emplace(std::move(entry), std::move(answer));
  });
  std::vector<std::string> asked;
  for (const std::string& text : texts) {
    if (missing.erase(key(text)) > 0) asked.push_back(text);  // once, in the order given
  }
  if (asked.empty()) return;
  log_info("back-translation: " + std::to_string(asked.size()) + " texts to the command, " +
           std::to_string(answers_.size()) + " are in " + cache_path);
  run_text_command(command, asked, timeout_seconds, [&](size_t i, std::string answer) {
    const std::string entry = key(asked[i]);
    cache.append(Json{{"key", entry}, {"text", answer}}.dump() + "\n");
    answers_.emplace(entry, std::move(answer));
  });
}

std::string Paraphrases::key(std::string_view text) const {
  return hash_bytes(command_ + "\n" + std::string(text));
}

const std::string* Paraphrases::find(std::string_view text) const {
  const auto found = answers_.find(key(text));
  return found == answers_.end() ? nullptr : &found->second;
}

std::string Paraphrases::hash() const {
  const std::map<std::string_view, std::string_view> sorted(answers_.begin(), answers_.end());
  std::string all;
  for (const auto& [entry, answer] : sorted) {
    all += entry;
    all += hash_bytes(answer);
  }
  return hash_bytes(all);
}

}  // namespace hone::data::detail
