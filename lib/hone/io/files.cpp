#include "hone/io/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "hone/core/error.h"

namespace hone::io {

void throw_errno(const std::string& path, const std::string& what) {
  throw IoError(path, what + ": " + std::strerror(errno));
}

Descriptor::Descriptor(const std::string& path, int flags, const char* purpose)
    : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
  if (fd_ < 0) throw_errno(path, std::string("cannot ") + purpose);
}

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

void write_all(const Descriptor& file, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_errno(path, "cannot write " + std::to_string(bytes.size()) + " bytes");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

void write_file(const std::string& path, std::string_view bytes) {
  write_all(Descriptor(path, O_WRONLY | O_CREAT | O_TRUNC, "create"), path, bytes);
}

bool path_exists(const std::string& path) {
  struct stat status;
  return ::lstat(path.c_str(), &status) == 0;
}

void sync(const Descriptor& file, const std::string& path) {
  if (::fsync(file.get()) != 0) throw_errno(path, "cannot flush to disk");
}

void sync_path(const std::string& path) { sync(Descriptor(path, O_RDONLY, "open"), path); }

std::string parent_folder(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string temporary_name(const std::string& path) {
  return path + ".tmp-" + std::to_string(::getpid());
}

}  // namespace hone::io
