#include "hone/data/detail/line_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "hone/core/error.h"

namespace hone::data::detail {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 18;

}  // namespace

LineReader::LineReader(const std::string& path, size_t max_line)
    : path_(path),
      max_line_(max_line),
      fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (fd_ < 0) throw IoError(path, std::string("cannot open: ") + std::strerror(errno));
  struct stat info;
  if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd_);
    throw IoError(path, "is not a regular file");
  }
}

LineReader::~LineReader() { ::close(fd_); }

bool LineReader::fill() {
  buffer_.resize(kBufferBytes);
  at_ = 0;
  ssize_t got = 0;
  do {
    got = ::read(fd_, buffer_.data(), buffer_.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) throw IoError(path_, std::string("cannot read: ") + std::strerror(errno));
  buffer_.resize(static_cast<size_t>(got));
  return got > 0;
}

LineReader::Got LineReader::next(std::string& line) {
  line.clear();
  bool any = false, ended = false, too_long = false;
  while (!ended && (at_ < buffer_.size() || fill())) {
    any = true;
    const size_t newline = buffer_.find('\n', at_);
    ended = newline != std::string::npos;
    const size_t end = ended ? newline : buffer_.size();
    const size_t room = max_line_ + 1 - line.size();  // one more, for a '\r'
    line.append(buffer_, at_, std::min(end - at_, room));
    too_long = too_long || end - at_ > room;
    at_ = ended ? end + 1 : end;
  }
  if (!any) return Got::kEnd;
  ++line_;
  if (ended && !line.empty() && line.back() == '\r') line.pop_back();
  if (line_ == 1 && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
  return too_long || line.size() > max_line_ ? Got::kTooLong : Got::kLine;
}

}  // namespace hone::data::detail
