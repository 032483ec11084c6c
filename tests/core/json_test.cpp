#include "hone/core/json.h"

#include <catch2/catch.hpp>

#include "hone/core/error.h"

namespace hone {
namespace {

std::string reason(const std::string& text, const JsonLimits& limits = {}) {
  try {
    parse_json(text, "file.json", limits);
  } catch (const IoError& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("parse_json keeps order and values") {
  const Json json = parse_json(R"({"b": [1, -2, 2.5, true, null], "a": {"c": "é"}})", "s");
  CHECK(json.dump() == R"({"b":[1,-2,2.5,true,null],"a":{"c":"é"}})");
  CHECK(parse_json("18446744073709551615", "s").get<uint64_t>() == 18446744073709551615u);
}

TEST_CASE("parse_json refuses what nlohmann lets pass") {
  CHECK(reason(R"({"a": 1, "b": 2, "a": 3})") == "file.json: duplicate key \"a\"");
  CHECK(reason("[18446744073709551616]") ==
        "file.json: integer 18446744073709551616 does not fit into 64 bits");
  CHECK(reason("\"\xff\"").find("UTF-8") != std::string::npos);
  CHECK(reason("\"\\ud800\"").find("surrogate") != std::string::npos);
  CHECK(reason("[1e999]").find("range") != std::string::npos);
  CHECK(reason("[NaN]") != "no error");
  CHECK(reason("") != "no error");
  CHECK(reason("{} {}") != "no error");
}

TEST_CASE("parse_json names the line") {
  CHECK(reason("{\n\"a\": 1,\n\"b\": }").find("file.json: line 3: ") == 0);
}

TEST_CASE("parse_json keeps to its limits") {
  CHECK(reason(std::string(65, '[') + std::string(65, ']')) == "file.json: nested deeper than 64");
  CHECK(reason(std::string(5'000'000, '[')) == "file.json: nested deeper than 64");
  CHECK(reason(std::string(64, '[') + std::string(64, ']')) == "no error");
  CHECK(reason("[1,2,3]", {.max_values = 3}) == "file.json: more than 3 values");
  CHECK(reason("[1,2,3]", {.max_bytes = 6}) ==
        "file.json: holds 7 bytes of JSON; the limit is 6");
}

TEST_CASE("large objects parse in linear time and know their duplicates") {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += "\"key" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  CHECK(parse_json(text + "\"end\":0}", "s").size() == 200'001);
  CHECK(reason(text + "\"key7\":0}") == "file.json: duplicate key \"key7\"");
}

}  // namespace
}  // namespace hone
