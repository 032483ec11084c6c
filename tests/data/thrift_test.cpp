// Bytes by hand, after the compact protocol's specification.
#include "hone/data/detail/thrift.h"

#include <catch2/catch.hpp>

#include "hone/core/error.h"

namespace hone::data::detail {
namespace {

using Field = ThriftReader::Field;

/// A text with zero bytes in it.
template <size_t n>
std::string_view bytes(const char (&text)[n]) {
  return {text, n - 1};
}

/// The fields of a struct as "id=value ", numbers and texts; others are skipped as "id? ".
std::string read(std::string_view text) {
  ThriftReader reader(text);
  std::string all;
  reader.read_struct([&](const Field& field) {
    all += std::to_string(field.id);
    if (field.type >= ThriftReader::kTrue && field.type <= ThriftReader::kI64) {
      all += "=" + std::to_string(reader.integer(field)) + " ";
    } else if (field.type == ThriftReader::kBinary) {
      all += "=" + std::string(reader.binary(field)) + " ";
    } else {
      reader.skip(field);
      all += "? ";
    }
  });
  CHECK(reader.position() == text.size());
  return all;
}

std::string refusal(std::string_view text) {
  try {
    read(text);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST_CASE("numbers are zigzag varints, booleans their type, bytes a byte") {
  CHECK(read(bytes("\x15\x02\x15\x01\x15\x80\x01\x00")) == "1=1 2=-1 3=64 ");
  CHECK(read(bytes("\x11\x12\x13\xff\x00")) == "1=1 2=0 3=-1 ");
  CHECK(read(bytes("\x16\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00")) ==
        "1=9223372036854775807 ");
  CHECK(read(bytes("\x16\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00")) ==
        "1=-9223372036854775808 ");
}

TEST_CASE("field numbers go by steps, or are written out") {
  CHECK(read(bytes("\xf5\x02\x05\xc8\x01\x04\x15\x06\x00")) == "15=1 100=2 101=3 ");
}

TEST_CASE("texts, and what is skipped: lists, maps, structs, doubles") {
  CHECK(read(bytes("\x18\x03"
                   "abc\x18\x00\x00")) == "1=abc 2= ");
  CHECK(read(bytes("\x19\x25\x02\x04\x1b\x00\x1c\x15\x02\x00\x17"
                   "12345678\x15\x02\x00")) == "1? 2? 3? 4? 5=1 ");
  CHECK(read(bytes("\x1b\x02\x58\x02\x01"
                   "a\x04\x01"
                   "b\x1a\x21\x01\x02\x00")) == "1? 2? ");
}

TEST_CASE("a list is read element by element and must hold what is expected") {
  const auto sum_of = [](std::string_view text) {
    ThriftReader reader(text);
    int64_t sum = 0;
    reader.read_struct([&](const Field& field) {
      reader.read_list(field, ThriftReader::kI32,
                       [&] { sum += reader.integer({0, ThriftReader::kI32}); });
    });
    return sum;
  };
  CHECK(sum_of(bytes("\x19\x35\x02\x04\x06\x00")) == 6);
  CHECK(sum_of(bytes("\x19\x05\x00")) == 0);
  CHECK_THROWS_WITH(sum_of(bytes("\x19\x18\x01"
                                 "a\x00")),
                    "is damaged: its description holds a list of an unexpected type");
  CHECK_THROWS_WITH(sum_of(bytes("\x15\x02\x00")),
                    "is damaged: its description holds a field of an unexpected type");
}

TEST_CASE("what is broken is refused before anything is allocated") {
  const std::string damaged = "is damaged: its description ";
  CHECK(refusal("") == damaged + "is cut off");
  CHECK(refusal(bytes("\x15")) == damaged + "is cut off");
  CHECK(refusal(bytes("\x17"
                      "1234567")) == damaged + "is cut off");
  CHECK(refusal(bytes("\x1d\x00")) == damaged + "holds an unknown type");
  CHECK(refusal(bytes("\x18\x05"
                      "abcd")) == damaged + "holds a text that is longer than it");
  CHECK(refusal(bytes("\x19\xf5\xff\xff\xff\xff\x0f\x00")) ==
        damaged + "holds a list that is longer than it");
  CHECK(refusal(bytes("\x1b\xff\x01\x55\x00")) == damaged + "holds a map that is longer than it");
  CHECK(refusal(bytes("\x05\x01\x02\x00")) == damaged + "holds a field without a number");
  CHECK(refusal("\x15" + std::string(11, '\xff')) == damaged + "holds a number without an end");
  CHECK(refusal(std::string(40, '\x1c')) == damaged + "is nested too deeply");
}

}  // namespace
}  // namespace hone::data::detail
