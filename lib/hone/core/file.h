/// Reading files.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace hone {

/// The bytes of a regular file. Throws: IoError if it cannot be read or is over `max_bytes`.
std::string read_file(const std::string& path, size_t max_bytes = size_t{1} << 30);

/// Hands the bytes of a regular file to `take`, a MiB at a time. Throws: IoError.
void read_file_in_pieces(const std::string& path,
                         const std::function<void(std::string_view piece)>& take);

/// A regular file mapped read-only; moves, does not copy.
class MappedFile {
 public:
  /// Throws: IoError.
  explicit MappedFile(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::string_view bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  const char* data_ = nullptr;
  size_t size_ = 0;
};

/// A size as people read it: "1.5 GiB", "12 MiB".
std::string format_bytes(int64_t bytes);

}  // namespace hone
