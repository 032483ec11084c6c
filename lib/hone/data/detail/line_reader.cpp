#include "hone/data/detail/line_reader.h"

#include <algorithm>

namespace hone::data::detail {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 18;

}  // namespace

LineReader::LineReader(const std::string& path, size_t max_line)
    : source_(path), max_line_(max_line) {}

bool LineReader::fill() {
  at_ = 0;
  return source_.read(buffer_, kBufferBytes);
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
