/// Files of one JSON object a line that grow while a run goes on.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/io/files.h"

namespace hone::io {

/// Appends to such a file. Moves, does not copy.
class JsonLines {
 public:
  /// Opens or makes the file; a torn last line is cut off. Throws: IoError.
  explicit JsonLines(const std::string& path);

  const std::string& path() const { return path_; }
  bool empty() const;

  /// Appends one line with one write(); numbers that are not finite become null, as JSON has none.
  /// A line that could not be written whole is cut off. Throws: IoError.
  void write(const Json& row);

  /// Puts `rows` in place of all that the file holds, atomically. Throws: IoError.
  void replace(const std::vector<Json>& rows);

  /// Drops every row with an integer "step" beyond `step`, atomically: for a run that goes on from
  /// a checkpoint. Returns whether there were any. Throws: IoError.
  bool rewind(int64_t step);

 private:
  void cut(size_t size);
  void replace_text(const std::string& text);

  std::string path_;
  Descriptor file_;
};

/// The rows of such a file. A torn or broken last line is passed over.
/// Throws: IoError naming the line for a broken one elsewhere.
std::vector<Json> read_json_lines(const std::string& path);

/// row["step"], if it is an integer.
std::optional<int64_t> row_step(const Json& row);

}  // namespace hone::io
