#include "hone/core/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "hone/core/error.h"

namespace hone {
namespace {

/// An open regular file and its size.
class OpenFile {
 public:
  explicit OpenFile(const std::string& path) : path_(path) {
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0) fail("cannot open");
    struct stat info;
    if (::fstat(fd_, &info) != 0) fail("cannot stat");
    if (!S_ISREG(info.st_mode)) {
      ::close(fd_);
      throw IoError(path, "is not a regular file");
    }
    size_ = static_cast<size_t>(info.st_size);
  }
  OpenFile(const OpenFile&) = delete;
  ~OpenFile() { ::close(fd_); }

  int fd() const { return fd_; }
  size_t size() const { return size_; }

  [[noreturn]] void fail(const char* what) const {
    throw IoError(path_, std::string(what) + ": " + std::strerror(errno));
  }

 private:
  const std::string& path_;
  int fd_ = -1;
  size_t size_ = 0;
};

}  // namespace

std::string read_file(const std::string& path, size_t max_bytes) {
  const OpenFile file(path);
  if (file.size() > max_bytes) {
    throw IoError(path, "holds " + std::to_string(file.size()) + " bytes; the limit is " +
                            std::to_string(max_bytes));
  }
  std::string bytes(file.size(), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::read(file.fd(), bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) file.fail("cannot read");
    if (got == 0) throw IoError(path, "became shorter while it was read");
    done += static_cast<size_t>(got);
  }
  return bytes;
}

void read_file_in_pieces(const std::string& path,
                         const std::function<void(std::string_view piece)>& take) {
  const OpenFile file(path);
  std::string buffer(size_t{1} << 20, '\0');
  while (true) {
    const ssize_t got = ::read(file.fd(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) file.fail("cannot read");
    if (got == 0) return;
    take(std::string_view(buffer.data(), static_cast<size_t>(got)));
  }
}

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const OpenFile file(path);
  size_ = file.size();
  if (size_ == 0) return;
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd(), 0);
  if (data == MAP_FAILED) file.fail("cannot map");
  data_ = static_cast<const char*>(data);
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<char*>(data_), size_);
}

std::string format_bytes(int64_t bytes) {
  const double mebibytes = static_cast<double>(bytes) / (1 << 20);
  if (mebibytes >= 1024) return fmt::format("{:.1f} GiB", mebibytes / 1024);
  return fmt::format("{:.0f} MiB", mebibytes);
}

}  // namespace hone
