/// What a run measures, row by row: metrics.jsonl for programs and plots, TensorBoard for people.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/io/json_lines.h"
#include "hone/io/tensorboard.h"

namespace hone::io {

/// Appends rows to <folder>/metrics.jsonl and scalars to a TensorBoard file beside it.
class MetricsWriter {
 public:
  /// Opens or makes the file; a torn last line is cut off. Throws: IoError.
  explicit MetricsWriter(const std::string& folder);

  /// Appends a line, see JsonLines. With an integer "step", TensorBoard gets: each finite number k
  /// as tag k; each number n of an object k as k/n; each {"name", "perplexity"} of "evaluation" as
  /// perplexity/<name>.
  /// Throws: IoError.
  void write(const Json& row);

  /// Drops every row with a "step" beyond `step`, atomically, and tells TensorBoard so: for a run
  /// that goes on from a checkpoint. Throws: IoError.
  void rewind(int64_t step);

 private:
  EventWriter& events();

  std::string folder_;
  JsonLines lines_;
  std::unique_ptr<EventWriter> events_;  // made with the first scalar
};

}  // namespace hone::io
