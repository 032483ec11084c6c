#include "hone/data/detail/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "hone/core/error.h"
#include "hone/core/file_kind.h"

namespace hone::data::detail {
namespace {

constexpr size_t kInputBytes = size_t{1} << 16;
constexpr uint64_t kFreeBytes = uint64_t{64} << 20;
constexpr uint64_t kMostRatio = 200;

/// How a message calls a file of a kind: Parquet is a name, the others want an article.
std::string a_file_of(const std::string& kind) {
  const bool vowel = std::string_view("AEIOUaeiou").find(kind[0]) != std::string_view::npos;
  const bool you = kind.starts_with("UTF");  // said "you"
  return (vowel && !you ? "an " : "a ") + kind + " file";
}

}  // namespace

struct ByteSource::Inflater {
  z_stream stream{};
  std::string input = std::string(kInputBytes, '\0');
  uint64_t in = 0, out = 0;
  bool inside = false;  ///< a member
  bool any = false;     ///< a member was begun

  Inflater() {
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream); }
  bool empty() const { return stream.avail_in == 0; }
};

bool is_gzip_path(const std::string& path) {
  if (path.size() <= 3) return false;
  const std::string end = path.substr(path.size() - 3);
  return end == ".gz" || end == ".GZ" || end == ".Gz";
}

std::string without_gz(const std::string& path) {
  return is_gzip_path(path) ? path.substr(0, path.size() - 3) : path;
}

ByteSource::ByteSource(const std::string& path)
    : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (fd_ < 0) throw IoError(path, std::string("cannot open: ") + std::strerror(errno));
  struct stat info;
  if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd_);
    throw IoError(path, "is not a regular file");
  }
  try {
    if (is_gzip_path(path)) inflater_ = std::make_unique<Inflater>();
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

ByteSource::~ByteSource() { ::close(fd_); }

size_t ByteSource::read_raw(char* to, size_t most) {
  ssize_t got = 0;
  do {
    got = ::read(fd_, to, most);
  } while (got < 0 && errno == EINTR);
  if (got < 0) throw IoError(path_, std::string("cannot read: ") + std::strerror(errno));
  return static_cast<size_t>(got);
}

/// Reads more of the packed file where there is none left; false at its end.
bool ByteSource::refill() {
  Inflater& z = *inflater_;
  if (!z.empty()) return true;
  const size_t got = read_raw(z.input.data(), z.input.size());
  z.stream.next_in = reinterpret_cast<Bytef*>(z.input.data());
  z.stream.avail_in = static_cast<uInt>(got);
  z.in += got;
  return got > 0;
}

size_t ByteSource::inflate_into(char* to, size_t most) {
  Inflater& z = *inflater_;
  z.stream.next_out = reinterpret_cast<Bytef*>(to);
  z.stream.avail_out = static_cast<uInt>(most);
  while (z.stream.avail_out == most) {
    if (!refill()) {
      if (!z.any) throw IoError(path_, "is empty, and no gzip file");
      if (z.inside) throw IoError(path_, "is cut off: its gzip data have no end");
      return 0;
    }
    if (!z.inside) {
      const Bytef* next = z.stream.next_in;
      if (z.any && *next == 0) {  // padding behind the last member
        ++z.stream.next_in;
        --z.stream.avail_in;
        continue;
      }
      if (*next != 0x1f) {
        throw IoError(path_, z.any ? "something that is no gzip data follows its gzip data"
                                   : "is no gzip file, though its name ends in .gz");
      }
      inflateReset(&z.stream);
      z.inside = z.any = true;
    }
    const int result = ::inflate(&z.stream, Z_NO_FLUSH);
    if (result == Z_STREAM_END) {
      z.inside = false;
    } else if (result == Z_MEM_ERROR) {
      throw std::bad_alloc();
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      throw IoError(path_, std::string("its gzip data are damaged: ") +
                               (z.stream.msg ? z.stream.msg : "unknown reason"));
    }
  }
  const size_t got = most - z.stream.avail_out;
  z.out += got;
  if (z.out > kFreeBytes && z.out / kMostRatio > z.in) {
    throw IoError(path_, "unpacks to more than " + std::to_string(kMostRatio) +
                             " times its size, as no text does; it is not read on");
  }
  return got;
}

bool ByteSource::read(std::string& buffer, size_t most) {
  buffer.resize(most);
  const size_t got = inflater_ ? inflate_into(buffer.data(), most) : read_raw(buffer.data(), most);
  buffer.resize(got);
  return got > 0;
}

std::string read_all(const std::string& path, size_t most) {
  ByteSource source(path);
  std::string all, piece;
  while (source.read(piece, size_t{1} << 20)) {
    if (all.size() + piece.size() > most) {
      throw IoError(path, "holds more than the limit of " + std::to_string(most) + " bytes");
    }
    all += piece;
  }
  return all;
}

void check_is_text(const std::string& path, const std::string& expected) {
  ByteSource source(path);
  std::string head, piece;
  while (head.size() < kKindBytes && source.read(piece, kKindBytes - head.size())) head += piece;
  const std::string kind = binary_kind(head);
  if (kind.empty()) return;
  std::string fix;
  if (kind == "gzip" && !is_gzip_path(path)) fix = "; let its name end in .gz";
  if (kind == "Parquet") fix = "; let its name end in .parquet";
  if (kind.starts_with("UTF-")) fix = "; convert it to UTF-8";
  if (kind == "zip" || kind == "Zstandard" || kind == "xz" || kind == "bzip2" || kind == "LZ4" ||
      kind == "7-Zip" || kind == "tar") {
    fix = "; unpack it first";
  }
  throw IoError(path, "is " + a_file_of(kind) + ", not " + expected + fix);
}

}  // namespace hone::data::detail
