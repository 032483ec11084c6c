#include "hone/io/tensorboard.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "hone/core/error.h"

namespace hone::io {
namespace {

constexpr std::string_view kFilePrefix = "events.out.tfevents.";

/// Reflected polynomial of CRC-32C.
constexpr uint32_t kPolynomial = 0x82F63B78;

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? kPolynomial : 0);
    table[i] = crc;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();

/// Little-endian bytes of an integer or a float.
template <class T>
std::string fixed(T value) {
  std::string bytes(sizeof value, '\0');
  __builtin_memcpy(bytes.data(), &value, sizeof value);  // x86-64 is little-endian
  return bytes;
}
static_assert(std::endian::native == std::endian::little);

// Protobuf: a field is its key (number << 3 | wire type) and its value.

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

std::string varint_field(int number, uint64_t value) { return varint(number << 3) + varint(value); }
std::string double_field(int number, double value) {
  return varint(number << 3 | 1) + fixed(value);
}
std::string float_field(int number, float value) { return varint(number << 3 | 5) + fixed(value); }
std::string bytes_field(int number, std::string_view bytes) {
  return varint(number << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}

// Field numbers of tensorboard/compat/proto/{event,summary}.proto.
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
constexpr int kSummaryValue = 1, kTag = 1, kSimpleValue = 2, kStatus = 1;
constexpr int kStatusStart = 1;

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Seconds for a new file's name: now, or past those of every file there if the clock went back,
/// since readers take files in the order of their names.
int64_t file_seconds(const std::string& folder) {
  auto seconds = static_cast<int64_t>(now());
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kFilePrefix)) continue;
    seconds = std::max<int64_t>(seconds, std::atoll(name.c_str() + kFilePrefix.size()) + 1);
  }
  return seconds;
}

std::string new_file_path(const std::string& folder) {
  static std::atomic<int> counter = 0;
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  char name[400];
  std::snprintf(name, sizeof name, "/events.out.tfevents.%010lld.%s.%d.%d",
                static_cast<long long>(file_seconds(folder)), host, ::getpid(), counter++);
  return folder + name;
}

}  // namespace

uint32_t masked_crc32c(std::string_view bytes) {
  uint32_t crc = ~uint32_t{0};
  for (unsigned char byte : bytes) crc = crc >> 8 ^ kCrcTable[(crc ^ byte) & 0xFF];
  return std::rotr(~crc, 15) + 0xA282EAD8;
}

std::string frame_record(std::string_view data) {
  const std::string length = fixed<uint64_t>(data.size());
  return length + fixed(masked_crc32c(length)) + std::string(data) + fixed(masked_crc32c(data));
}

std::string encode_file_version(double wall_time) {
  return double_field(kWallTime, wall_time) + bytes_field(kFileVersion, "brain.Event:2");
}

std::string encode_scalars(double wall_time, int64_t step,
                           const std::vector<std::pair<std::string, float>>& scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    summary +=
        bytes_field(kSummaryValue, bytes_field(kTag, tag) + float_field(kSimpleValue, value));
  }
  return double_field(kWallTime, wall_time) + varint_field(kStep, static_cast<uint64_t>(step)) +
         bytes_field(kSummary, summary);
}

std::string encode_restart(double wall_time, int64_t step) {
  return double_field(kWallTime, wall_time) + varint_field(kStep, static_cast<uint64_t>(step)) +
         bytes_field(kSessionLog, varint_field(kStatus, kStatusStart));
}

EventWriter::EventWriter(const std::string& folder)
    : path_(new_file_path(folder)), file_(path_, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, "create") {
  write_all(file_, path_, frame_record(encode_file_version(now())));
}

void EventWriter::scalars(int64_t step, const std::vector<std::pair<std::string, float>>& scalars) {
  write_all(file_, path_, frame_record(encode_scalars(now(), step, scalars)));
}

void EventWriter::restart(int64_t step) {
  write_all(file_, path_, frame_record(encode_restart(now(), step)));
}

}  // namespace hone::io
