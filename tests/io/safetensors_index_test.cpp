#include "hone/io/safetensors_index.h"

#include <catch2/catch.hpp>

#include "hone/core/error.h"

namespace hone::io {
namespace {

TEST_CASE("an index tells each tensor's shard") {
  const auto shards = parse_safetensors_index(
      R"({"weight_map": {"b": "m-2.safetensors", "a": "m-1.safetensors", "c": "m-2.safetensors"}})",
      "i");
  CHECK(shards == std::map<std::string, std::string>{{"a", "m-1.safetensors"},
                                                     {"b", "m-2.safetensors"},
                                                     {"c", "m-2.safetensors"}});
}

TEST_CASE("plain file names") {
  using namespace std::string_view_literals;
  for (const std::string_view name : {"a"sv, "a.b"sv, "..a"sv, "a.."sv, " "sv}) {
    CHECK(is_plain_file_name(name));
  }
  for (const std::string_view name : {""sv, "."sv, ".."sv, "a/b"sv, "/"sv, "a\0b"sv}) {
    CHECK_FALSE(is_plain_file_name(name));
  }
}

TEST_CASE("hostile indexes are refused with the tensor's name") {
  const auto parse_index = [](const std::string& text) {
    return parse_safetensors_index(text, "i");
  };
  CHECK(parse_index(R"({"metadata":{"total_size":1},"weight_map":{"a":"m-1.safetensors"}})")
            .at("a") == "m-1.safetensors");
  for (const char* text : {"", "[]", "{}", R"({"weight_map":[]})", R"({"weight_map":1})",
                           R"({"weight_map":{}})", R"({"weight_map":{"a":"b.safetensors")"}) {
    INFO(text);
    CHECK_THROWS_AS(parse_index(text), IoError);
  }
  CHECK_THROWS_WITH(parse_index(R"({"weight_map":{"a":"b.safetensors","a":"c.safetensors"}})"),
                    Catch::Contains("duplicate key"));
  for (const std::string file : {"\"/etc/x.safetensors\"",
                                 "\"../x.safetensors\"",
                                 "\"a/../../x.safetensors\"",
                                 "\"./x.safetensors\"",
                                 "\"sub/x.safetensors\"",
                                 "\"a\\\\x.safetensors\"",
                                 "\"x.safetensors\\u0000\"",
                                 "\"\\u0000x.safetensors\"",
                                 "\"..\"",
                                 "\".\"",
                                 "\"\"",
                                 "\".safetensors\"",
                                 "\"pytorch_model.bin\"",
                                 "\"x.safetensors.bin\"",
                                 "\"x.pt\"",
                                 "null",
                                 "1",
                                 "[]",
                                 "{}",
                                 "true"}) {
    INFO(file);
    CHECK_THROWS_WITH(
        parse_index("{\"weight_map\":{\"tensor.name\":" + file + "}}"),
        Catch::Contains("tensor \"tensor.name\": expected the name of a .safetensors"));
  }
  CHECK_THROWS_WITH(
      parse_index("{\"weight_map\":{\"a\":\"" + std::string(300, 'x') + ".safetensors\"}}"),
      Catch::Contains("tensor \"a\""));
}

}  // namespace
}  // namespace hone::io
