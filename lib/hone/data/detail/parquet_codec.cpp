#include "hone/data/detail/parquet_codec.h"

#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include "hone/core/error.h"

namespace hone::data::detail::parquet {
namespace {

constexpr int64_t kMaxPage = int64_t{256} << 20;
constexpr int64_t kFreePage = int64_t{16} << 20;
constexpr int64_t kMostRatio = 2000;

[[noreturn]] void damaged() { throw Error("is damaged: a page cannot be unpacked"); }

void unpack_gzip(std::string_view packed, std::string& page) {
  z_stream stream{};
  if (inflateInit2(&stream, 32 + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(page.data());
  stream.avail_out = static_cast<uInt>(page.size());
  const int result = ::inflate(&stream, Z_FINISH);
  const bool whole = result == Z_STREAM_END && stream.avail_out == 0;
  inflateEnd(&stream);
  if (!whole) damaged();
}

}  // namespace

std::string codec_name(Codec codec) {
  const char* const names[] = {"none", "snappy", "gzip", "LZO", "brotli", "LZ4", "zstd", "LZ4_RAW"};
  return names[static_cast<int>(codec)];
}

std::string unpack(Codec codec, std::string_view packed, int64_t size) {
  if (size > kMaxPage) {
    throw Error("has a page of " + std::to_string(size) + " bytes; the limit is " +
                std::to_string(kMaxPage));
  }
  if (size > kFreePage && size / kMostRatio > static_cast<int64_t>(packed.size())) {
    throw Error("has a page that unpacks to more than 2000 times its size, as no text does");
  }
  if (codec == Codec::kNone) {
    if (static_cast<int64_t>(packed.size()) != size) damaged();
    return std::string(packed);
  }
  std::string page;
  if (codec == Codec::kSnappy) {
    size_t unpacked = 0;
    if (!snappy::GetUncompressedLength(packed.data(), packed.size(), &unpacked) ||
        unpacked != static_cast<size_t>(size)) {
      damaged();
    }
    page.resize(unpacked);
    if (!snappy::RawUncompress(packed.data(), packed.size(), page.data())) damaged();
    return page;
  }
  if (codec != Codec::kGzip && codec != Codec::kZstd) {
    throw Error("uses the compression " + codec_name(codec) +
                ", which is not read; write it with snappy, zstd, gzip or none");
  }
  page.resize(static_cast<size_t>(size));
  if (size == 0) return page;
  if (codec == Codec::kGzip) {
    unpack_gzip(packed, page);
  } else if (ZSTD_decompress(page.data(), page.size(), packed.data(), packed.size()) !=
             page.size()) {
    damaged();
  }
  return page;
}

}  // namespace hone::data::detail::parquet
