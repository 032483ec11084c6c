// Safetensors files that are cut, broken or made to harm: a typed error, before memory
// is spent on what they claim.
#include <catch2/catch.hpp>
#include <cstring>

#include "hone/core/error.h"
#include "hone/io/safetensors.h"
#include "hone/machine/hardware.h"
#include "support.h"

namespace hone::io {
namespace {

using test::safetensors_bytes;
using test::TemporaryFolder;

SafetensorsHeader parse(const std::string& bytes) {
  return parse_safetensors_header(bytes, bytes.size(), "f");
}

/// A tensor's member of a header.
std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":" + dtype + ",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

struct HostileHeader {
  std::string header;
  size_t data;
  const char* reason;
};

std::vector<HostileHeader> hostile_headers() {
  const auto one = [](const std::string& dtype, const std::string& shape,
                      const std::string& offsets) {
    return "{" + tensor("a", dtype, shape, offsets) + "}";
  };
  std::string many_dimensions = "[1";
  for (int i = 0; i < 64; ++i) many_dimensions += ",1";
  return {
      // Not JSON, or not the JSON that is due.
      {"", 0, "does not begin with"},
      {" {}", 0, "does not begin with"},
      {"[]", 0, "does not begin with"},
      {"null", 0, "does not begin with"},
      {"{", 0, "f: line 1"},
      {"{}x", 0, "f: line 1"},
      {"{} {}", 0, "f: line 1"},
      {"{'a':1}", 0, "f: line 1"},
      {std::string("{\0}", 3), 0, "f: line 1"},
      {"{\"\xff\":1}", 0, "f: line 1"},
      {"{\"\\ud800\":1}", 0, "f: line 1"},
      {"{\"a\":NaN}", 0, "f: line 1"},
      {"{\"a\":" + std::string(100'000, '['), 0, "nested deeper than 3"},
      {"{\"a\":{\"dtype\":{\"b\":{}}}}", 0, "nested deeper than 3"},
      {"{\"a\":1}", 0, "\"a\": expected an object"},
      {"{\"a\":[]}", 0, "\"a\": expected an object"},
      {"{\"a\":null}", 0, "\"a\": expected an object"},
      {"{\"a\":{}}", 0, "lacks dtype, shape or data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[1]}})", 4, "lacks dtype"},
      {R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, "lacks dtype"},
      {R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4, "lacks dtype"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":0}})", 4, "unknown key \"x\""},
      // Names.
      {"{" + tensor("", "\"F32\"", "[1]", "[0,4]") + "}", 4, "the name is empty"},
      {"{" + tensor("a", "\"F32\"", "[1]", "[0,4]") + "," + tensor("a", "\"F32\"", "[1]", "[4,8]") +
           "}",
       8, "duplicate key"},
      {R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4,
       "duplicate key"},
      {R"({"__metadata__":{},"__metadata__":{}})", 0, "duplicate key"},
      // Metadata.
      {R"({"__metadata__":1})", 0, "__metadata__ is not an object"},
      {R"({"__metadata__":["a"]})", 0, "__metadata__ is not an object"},
      {R"({"__metadata__":{"a":1}})", 0, "__metadata__: \"a\" is no string"},
      {R"({"__metadata__":{"a":{}}})", 0, "__metadata__: \"a\" is no string"},
      // Types.
      {one("\"F4\"", "[1]", "[0,1]"), 1, "dtype \"F4\" is none of those"},
      {one("\"C64\"", "[1]", "[0,8]"), 8, "dtype \"C64\" is none of those"},
      {one("\"f32\"", "[1]", "[0,4]"), 4, "is none of those"},
      {one("\"\"", "[1]", "[0,4]"), 4, "is none of those"},
      {one("32", "[1]", "[0,4]"), 4, "dtype 32 is none of those"},
      {one("[]", "[1]", "[0,4]"), 4, "is none of those"},
      {one("\"" + std::string(5000, 'F') + "\"", "[1]", "[0,4]"), 4, "is none of those"},
      // Shapes.
      {one("\"F32\"", "1", "[0,4]"), 4, "shape is not a list"},
      {one("\"F32\"", "\"1\"", "[0,4]"), 4, "shape is not a list"},
      {one("\"F32\"", "{}", "[0,4]"), 4, "shape is not a list"},
      {one("\"F32\"", "[-1]", "[0,4]"), 4, "which is no size"},
      {one("\"F32\"", "[-0]", "[0,0]"), 0, "which is no size"},
      {one("\"F32\"", "[1.0]", "[0,4]"), 4, "which is no size"},
      {one("\"F32\"", "[1e0]", "[0,4]"), 4, "which is no size"},
      {one("\"F32\"", "[null]", "[0,4]"), 4, "which is no size"},
      {one("\"F32\"", "[\"1\"]", "[0,4]"), 4, "which is no size"},
      {one("\"F32\"", "[true]", "[0,4]"), 4, "which is no size"},
      {one("\"F32\"", "[9223372036854775808]", "[0,4]"), 4, "which is no size"},
      {one("\"F32\"", "[18446744073709551616]", "[0,4]"), 4, "which is no size"},
      {one("\"F32\"", "[4611686018427387905]", "[0,4]"), 4, "does not fit into 64 bits"},
      {one("\"F32\"", "[4294967296,4294967296]", "[0,0]"), 0, "does not fit into 64 bits"},
      {one("\"U8\"", "[9223372036854775807,2]", "[0,4]"), 4, "shape and dtype need"},
      {one("\"F32\"", many_dimensions + "]", "[0,4]"), 4, "has 65 dimensions; the limit is 64"},
      {one("\"F32\"", "[2]", "[0,4]"), 4, "need 8 bytes, data_offsets hold 4"},
      {one("\"F32\"", "[]", "[0,8]"), 8, "need 4 bytes, data_offsets hold 8"},
      {one("\"F32\"", "[0,9223372036854775807]", "[0,4]"), 4, "need 0 bytes"},
      // Offsets.
      {one("\"F32\"", "[1]", "4"), 4, "not a pair of offsets"},
      {one("\"F32\"", "[1]", "[0]"), 4, "not a pair of offsets"},
      {one("\"F32\"", "[1]", "[0,4,8]"), 4, "not a pair of offsets"},
      {one("\"F32\"", "[1]", "[-4,0]"), 4, "not a pair of offsets"},
      {one("\"F32\"", "[1]", "[0,4.0]"), 4, "not a pair of offsets"},
      {one("\"F32\"", "[1]", "[0,\"4\"]"), 4, "not a pair of offsets"},
      {one("\"F32\"", "[1]", "[4,0]"), 4, "end before they begin"},
      {one("\"F32\"", "[1]", "[0,8]"), 4, "is the file cut short?"},
      {one("\"F32\"", "[1]", "[9223372036854775800,9223372036854775804]"), 4, "cut short?"},
      {one("\"F32\"", "[1]", "[18446744073709551612,18446744073709551615]"), 4, "not a pair"},
      // Tiling.
      {one("\"F32\"", "[1]", "[4,8]"), 8, "begins at byte 4 where 0 is due"},
      {one("\"F32\"", "[1]", "[0,4]"), 8, "8 bytes of data, of which tensors cover 4"},
      {"{}", 1, "1 bytes of data, of which tensors cover 0"},
      {"{" + tensor("a", "\"F32\"", "[1]", "[0,4]") + "," + tensor("b", "\"F32\"", "[1]", "[0,4]") +
           "}",
       4, "\"b\": begins at byte 0 where 4 is due"},
      {"{" + tensor("a", "\"F32\"", "[2]", "[0,8]") + "," + tensor("b", "\"F32\"", "[1]", "[4,8]") +
           "}",
       8, "\"b\": begins at byte 4 where 8 is due"},
      {"{" + tensor("a", "\"F32\"", "[1]", "[0,4]") + "," +
           tensor("b", "\"F32\"", "[1]", "[8,12]") + "}",
       12, "\"b\": begins at byte 8 where 4 is due"},
      {"{" + tensor("a", "\"U8\"", "[0]", "[2,2]") + "," + tensor("b", "\"F32\"", "[1]", "[0,4]") +
           "}",
       4, "\"a\": begins at byte 2 where 4 is due"},
  };
}

TEST_CASE("hostile headers are refused with the tensor's name and the reason") {
  const auto table = hostile_headers();
  CHECK(table.size() >= 60);
  for (const HostileHeader& hostile : table) {
    INFO(hostile.header.substr(0, 200));
    const std::string bytes = safetensors_bytes(hostile.header, std::string(hostile.data, 'x'));
    CHECK_THROWS_AS(parse(bytes), IoError);
    CHECK_THROWS_WITH(parse(bytes), Catch::Contains(hostile.reason));
  }
}

TEST_CASE("lengths that lie are refused before memory is spent") {
  const TemporaryFolder folder;
  const auto claim = [&](uint64_t size, const std::string& rest) {
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &size, 8);
    return folder.write("f", bytes + rest);
  };
  CHECK_THROWS_WITH(Safetensors(folder.write("f", "")), Catch::Contains("0 bytes, too few"));
  CHECK_THROWS_WITH(Safetensors(folder.write("f", "1234567")), Catch::Contains("7 bytes, too few"));
  for (const uint64_t size : {uint64_t{3}, uint64_t{1} << 40, ~uint64_t{0}, ~uint64_t{0} - 7}) {
    CHECK_THROWS_WITH(Safetensors(claim(size, "{}")), Catch::Contains("its header claims"));
  }
  const std::string large = claim(kMaxHeaderBytes + 1, "{}");
  std::filesystem::resize_file(large, kMaxHeaderBytes + 1000);
  CHECK_THROWS_WITH(Safetensors(large), Catch::Contains("the limit is 16777216"));
  CHECK_THROWS_WITH(Safetensors(folder.path), Catch::Contains("is not a regular file"));
  CHECK_THROWS_WITH(Safetensors("/dev/zero"), Catch::Contains("is not a regular file"));
}

TEST_CASE("counts that bomb are refused at their limit") {
  std::string header = "{";
  for (size_t i = 0; i <= kMaxTensors; ++i) {
    header += (i ? "," : "") + tensor(std::to_string(i), "\"U8\"", "[0]", "[0,0]");
  }
  CHECK_THROWS_WITH(parse(safetensors_bytes(header + "}", "")),
                    Catch::Contains("more than 100000 tensors"));
  std::string shape = "[0";
  while (shape.size() < kMaxHeaderBytes - 100) shape += ",0";
  const int64_t before = machine::resident_bytes();
  CHECK_THROWS_WITH(
      parse(safetensors_bytes("{" + tensor("a", "\"U8\"", shape + "]", "[0,0]") + "}", "")),
      Catch::Contains("more than 2000000 values"));
  CHECK(machine::resident_bytes() - before < int64_t{256} << 20);
}

/// Two tensors, metadata, padding and data: 4 KB or so.
std::string small_file() {
  std::string header = R"({"__metadata__":{"format":"pt"},)" +
                       tensor("model.norm.weight", "\"F32\"", "[8,120]", "[0,3840]") + "," +
                       tensor("b", "\"BF16\"", "[3]", "[3840,3846]") + "}";
  header.append((8 - header.size() % 8) % 8 + 16, ' ');
  return safetensors_bytes(header, std::string(3846, 'd'));
}

TEST_CASE("a file cut at any byte is refused") {
  const TemporaryFolder folder;
  const std::string whole = small_file();
  CHECK(parse(whole).tensors.size() == 2);
  for (size_t size = 0; size < whole.size(); ++size) {
    INFO(size);
    CHECK_THROWS_AS(parse(whole.substr(0, size)), IoError);
  }
  CHECK_THROWS_AS(parse(whole + "x"), IoError);
}

TEST_CASE("a file cut after it was opened is an error, never a signal") {
  const TemporaryFolder folder;
  const std::string whole = small_file(), path = folder.file("f");
  for (size_t size = 0; size < whole.size(); size += 20) {
    folder.write("f", whole);
    const Safetensors file(path);
    const TensorInfo* info = file.find("b");
    REQUIRE(info);
    std::filesystem::resize_file(path, size);
    std::string out(info->bytes(), '\0');
    CHECK_THROWS_WITH(file.read(*info, out.data()), path + ": became shorter while it was read");
  }
}

TEST_CASE("a flipped bit in the header is refused or changes no shape, type or place") {
  const std::string whole = small_file();
  const auto good = parse(whole);
  size_t refused = 0, harmless = 0;
  for (size_t bit = 0; bit < 8 * good.data_begin; ++bit) {
    INFO(bit);
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    try {
      const auto read = parse(flipped);
      ++harmless;
      size_t tensors = 0;
      for (const TensorInfo& info : read.tensors) {
        CHECK(info.shape == good.tensors[tensors].shape);
        CHECK(info.dtype == good.tensors[tensors].dtype);
        CHECK(info.begin == good.tensors[tensors].begin);
        ++tensors;
      }
      CHECK(tensors == good.tensors.size());
    } catch (const IoError&) {
      ++refused;
    }
  }
  CHECK(refused > 1000);
  CHECK(harmless > 0);  // flips inside a name or the metadata are other names
}

TEST_CASE("what is legal is read: any order, no alignment, scalars, empty tensors, every dtype") {
  const auto header =
      parse(safetensors_bytes("{" + tensor("b", "\"F64\"", "[]", "[1,9]") + "," +
                                  tensor("e", "\"U16\"", "[0,9223372036854775807]", "[1,1]") + "," +
                                  tensor("a", "\"F8_E4M3\"", "[1]", "[0,1]") + "}   ",
                              "123456789"));
  REQUIRE(header.tensors.size() == 3);
  CHECK(header.tensors[0].name == "a");
  CHECK(header.tensors[1].name == "e");
  CHECK(header.tensors[2].shape.empty());
  CHECK(parse(safetensors_bytes("{}", "")).tensors.empty());
}

}  // namespace
}  // namespace hone::io
