/// The bytes of a data file in order, a compressed one's unpacked.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hone::data::detail {

/// Whether the path's last ending is .gz, in any case.
bool is_gzip_path(const std::string& path);
/// The path without a last .gz.
std::string without_gz(const std::string& path);

/// Streams a regular file; one that ends in .gz is unpacked, all of its members. What it unpacks to
/// is bounded: past 64 MiB it may be at most 200 times what was read, which text does not reach.
class ByteSource {
 public:
  /// Throws: IoError if the file is no readable regular file.
  explicit ByteSource(const std::string& path);
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  ~ByteSource();

  /// Fills `buffer` with the next bytes, at most `most`; false at the end.
  /// Throws: IoError for a file that cannot be read, is cut off or damaged.
  bool read(std::string& buffer, size_t most);

 private:
  struct Inflater;
  size_t read_raw(char* to, size_t most);
  bool refill();
  size_t inflate_into(char* to, size_t most);

  std::string path_;
  int fd_;
  std::unique_ptr<Inflater> inflater_;  ///< null for a plain file
};

/// All bytes of a file. Throws: IoError, also if they are more than `most`.
std::string read_all(const std::string& path, size_t most);

/// Throws: IoError if the file (unpacked) begins like one that holds no UTF-8 text; `expected` is
/// what it should be ("JSON Lines").
void check_is_text(const std::string& path, const std::string& expected);

}  // namespace hone::data::detail
