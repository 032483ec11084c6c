/// Reading what a run appends while it runs.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "hone/core/json.h"
#include "hone/io/files.h"

namespace hone::io {

/// Reads a file of JsonLines that another thread or process writes, each row once.
class JsonTail {
 public:
  enum class End {
    kReached,  ///< of the rows that are complete now
    kAhead,    ///< there is more to take now
    kRewound   ///< rows that were taken are gone: begin anew, the next read() does
  };

  /// The file may not be there yet.
  explicit JsonTail(std::string path) : path_(std::move(path)) {}

  /// Takes the next rows, at most a MiB of them. A line that is no JSON, or longer than that, is
  /// passed over; the last line is left until it is complete. Throws: IoError.
  End read(const std::function<void(const Json& row)>& take);

  /// Lines passed over.
  size_t broken() const { return broken_; }

 private:
  bool was_rewound() const;
  void take_line(std::string_view line, const std::function<void(const Json&)>& take);

  std::string path_;
  Descriptor file_;     // kept open, so that its inode stays its own
  off_t position_ = 0;  // always where a line begins, or within one that is too long
  bool skipping_ = false;
  size_t broken_ = 0;
};

}  // namespace hone::io
