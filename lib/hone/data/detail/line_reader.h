/// Lines of a file of any size.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "hone/data/detail/byte_source.h"

namespace hone::data::detail {

/// Reads a file line by line through a small buffer; a packed one (.gz) as what it unpacks to. Line
/// ends "\n" and "\r\n" are left out, and so is a byte-order mark at the file's beginning.
class LineReader {
 public:
  /// Throws: IoError if the file is no readable regular file.
  explicit LineReader(const std::string& path, size_t max_line = size_t{16} << 20);

  enum class Got { kLine, kTooLong, kEnd };

  /// The next line; of one over max_line only its beginning, the rest is passed over.
  /// Throws: IoError.
  Got next(std::string& line);
  /// Number of the line that next() gave, from 1.
  int64_t line() const { return line_; }
  size_t max_line() const { return max_line_; }

 private:
  bool fill();

  ByteSource source_;
  size_t max_line_;
  int64_t line_ = 0;
  std::string buffer_;
  size_t at_ = 0;  ///< first byte of buffer_ that is not yet given out
};

}  // namespace hone::data::detail
