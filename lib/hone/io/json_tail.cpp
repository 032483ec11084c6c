#include "hone/io/json_tail.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "hone/core/error.h"

namespace hone::io {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr JsonLimits kRowLimits = {.max_bytes = kMaxBytes, .max_depth = 16};

}  // namespace

/// JsonLines::rewind() replaces the file, and its cut() shortens it at most to its complete lines.
bool JsonTail::was_rewound() const {
  struct stat ours, theirs;
  if (::fstat(file_.get(), &ours) != 0) throw_errno(path_, "cannot read");
  if (::stat(path_.c_str(), &theirs) != 0) return false;  // what was read stays as it is
  return ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev || ours.st_size < position_;
}

void JsonTail::take_line(std::string_view line, const std::function<void(const Json&)>& take) {
  if (line.empty()) return;
  Json row;
  try {
    row = parse_json(line, path_, kRowLimits);
  } catch (const IoError&) {
    ++broken_;
    return;
  }
  take(row);
}

JsonTail::End JsonTail::read(const std::function<void(const Json&)>& take) {
  if (file_.get() < 0) {
    if (!path_exists(path_)) return End::kReached;
    file_ = Descriptor(path_, O_RDONLY, "read");
  } else if (was_rewound()) {
    *this = JsonTail(path_);
    return End::kRewound;
  }
  std::string bytes(kMaxBytes, '\0');
  const ssize_t size = ::pread(file_.get(), bytes.data(), bytes.size(), position_);
  if (size < 0) throw_errno(path_, "cannot read");
  bytes.resize(static_cast<size_t>(size));
  size_t begin = 0;
  for (size_t end; (end = bytes.find('\n', begin)) != std::string::npos; begin = end + 1) {
    if (skipping_) {
      skipping_ = false;
      continue;
    }
    take_line(std::string_view(bytes).substr(begin, end - begin), take);
  }
  if (begin == 0 && bytes.size() == kMaxBytes) {
    broken_ += skipping_ ? 0 : 1;
    skipping_ = true;
    begin = bytes.size();
  }
  position_ += static_cast<off_t>(begin);
  return bytes.size() == kMaxBytes ? End::kAhead : End::kReached;
}

}  // namespace hone::io
