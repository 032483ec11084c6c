/// TensorBoard event files, written without protobuf.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hone/io/files.h"

namespace hone::io {

/// CRC-32C (Castagnoli) as TFRecord masks it: rotr15(crc) + 0xA282EAD8.
uint32_t masked_crc32c(std::string_view bytes);

/// One TFRecord: length, its checksum, data, its checksum.
std::string frame_record(std::string_view data);

/// Serialised Event messages.
std::string encode_file_version(double wall_time);
std::string encode_scalars(double wall_time, int64_t step,
                           const std::vector<std::pair<std::string, float>>& scalars);
/// Tells readers that what earlier files of the folder hold from `step` on is void.
std::string encode_restart(double wall_time, int64_t step);

/// A new events.out.tfevents file in a folder; every record is appended with one write().
class EventWriter {
 public:
  /// Throws: IoError.
  explicit EventWriter(const std::string& folder);

  const std::string& path() const { return path_; }
  void scalars(int64_t step, const std::vector<std::pair<std::string, float>>& scalars);
  void restart(int64_t step);

 private:
  std::string path_;
  Descriptor file_;
};

}  // namespace hone::io
