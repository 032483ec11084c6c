#include "hone/io/tensorboard.h"

#include <catch2/catch.hpp>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "support.h"

namespace hone::io {
namespace {

using test::TemporaryFolder;

std::string unhex(const std::string& digits) {
  std::string bytes;
  for (size_t i = 0; i + 1 < digits.size();) {
    if (digits[i] == ' ') {
      ++i;
      continue;
    }
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    i += 2;
  }
  return bytes;
}

TEST_CASE("event records equal TensorBoard's bytes") {
  // Golden bytes: formats.md 8, checked with TensorBoard's own protobuf.
  CHECK(masked_crc32c("123456789") == 0xC78AB0E5);
  CHECK(
      frame_record(encode_file_version(1.0)) ==
      unhex("1800000000000000 a37f4b22 09000000000000f03f1a0d627261696e2e4576656e743a32 86bf577a"));
  CHECK(frame_record(encode_scalars(2.0, 5, {{"loss", 0.5F}})) ==
        unhex("1a00000000000000 129bd82d 09000000000000004010052a0d0a0b0a046c6f7373150000003f "
              "db81a714"));
}

TEST_CASE("a restart voids what earlier files hold from its step on") {
  // SessionLog{status: START} at step 7: field 7 of an event holds field 1 with 1.
  CHECK(encode_restart(1.0, 7) == unhex("09000000000000f03f 1007 3a020801"));
}

TEST_CASE("a file begins with its version, and each call appends one record") {
  const TemporaryFolder folder;
  EventWriter writer(folder.path);
  const std::string begin = read_file(writer.path());
  CHECK(begin.size() == 8 + 4 + 24 + 4);
  CHECK(begin.find("brain.Event:2") != std::string::npos);
  writer.scalars(3, {{"loss", 1.5F}, {"lr", 0.5F}});
  const std::string one = read_file(writer.path());
  CHECK(one.starts_with(begin));
  CHECK(one.find("loss") != std::string::npos);
  writer.restart(2);
  CHECK(read_file(writer.path()).starts_with(one));
  CHECK_THROWS_AS(EventWriter(folder.file("none")), IoError);
}

}  // namespace
}  // namespace hone::io
