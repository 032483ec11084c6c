#include "hone/core/file.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "hone/core/error.h"
#include "hone/core/hash.h"
#include "support/temporary_folder.h"

namespace hone {
namespace {

TEST_CASE("files are read and mapped whole") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/f";
  std::ofstream(path) << "hello";
  CHECK(read_file(path) == "hello");
  CHECK(MappedFile(path).bytes() == "hello");
  MappedFile moved = MappedFile(path);
  CHECK(moved.bytes() == "hello");
  CHECK(moved.path() == path);
  std::ofstream(folder.path + "/other") << "other";
  moved = MappedFile(folder.path + "/other");
  CHECK(moved.bytes() == "other");
  CHECK_THROWS_WITH(read_file(path, 4), path + ": holds 5 bytes; the limit is 4");
  std::ofstream(folder.path + "/empty");
  CHECK(read_file(folder.path + "/empty").empty());
  CHECK(MappedFile(folder.path + "/empty").bytes().empty());
}

TEST_CASE("what is not a regular file is refused, without waiting") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(read_file(folder.path), folder.path + ": is not a regular file");
  CHECK_THROWS_WITH(read_file(folder.path + "/none"),
                    folder.path + "/none: cannot open: No such file or directory");
  const std::string pipe = folder.path + "/pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THROWS_WITH(read_file(pipe), pipe + ": is not a regular file");
}

TEST_CASE("hash_bytes is XXH3-128") {
  // Reference: xxhsum 0.8.1 -H2 of an empty input.
  CHECK(hash_bytes("") == "99aa06d3014798d86001c324468d497f");
  CHECK(hash_bytes("a") != hash_bytes("b"));
  const TemporaryFolder folder;
  std::ofstream(folder.path + "/f") << "hello";
  CHECK(hash_file(folder.path + "/f") == hash_bytes("hello"));
  CHECK_THROWS_AS(hash_file(folder.path + "/none"), IoError);
}

TEST_CASE("hash_file is hash_bytes of a file of several pieces") {
  const TemporaryFolder folder;
  std::string bytes((size_t{2} << 20) + 7, 'x');
  for (size_t i = 0; i < bytes.size(); i += 1000) bytes[i] = static_cast<char>(i / 1000);
  std::ofstream(folder.path + "/f") << bytes;
  CHECK(hash_file(folder.path + "/f") == hash_bytes(bytes));
}

TEST_CASE("sizes are in MiB, and in GiB where those are many") {
  CHECK(format_bytes(12 << 20) == "12 MiB");
  CHECK(format_bytes(int64_t{3} << 29) == "1.5 GiB");
}

}  // namespace
}  // namespace hone
