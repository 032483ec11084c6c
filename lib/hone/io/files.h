/// Files through file descriptors, with every failure an IoError that names the path.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace hone::io {

/// Throws IoError(path, "<what>: <strerror(errno)>").
[[noreturn]] void throw_errno(const std::string& path, const std::string& what);

/// A file descriptor that closes itself. Moves, does not copy.
class Descriptor {
 public:
  Descriptor() = default;
  /// open(2), always close-on-exec. Throws: IoError saying that it cannot `purpose` the file.
  Descriptor(const std::string& path, int flags, const char* purpose);
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();

  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

/// write(2) until all is written.
void write_all(const Descriptor& file, const std::string& path, std::string_view bytes);

/// Makes or truncates a file and writes it; neither atomic nor flushed to disk.
void write_file(const std::string& path, std::string_view bytes);

/// Whether something is there, be it a dangling link.
bool path_exists(const std::string& path);

/// fsync(2) of an open file; of a file or folder by path.
void sync(const Descriptor& file, const std::string& path);
void sync_path(const std::string& path);

/// The folder that holds `path`: "." for a plain name.
std::string parent_folder(const std::string& path);

/// "run.tmp-<pid>": where this process prepares what will be `path`.
std::string temporary_name(const std::string& path);

}  // namespace hone::io
