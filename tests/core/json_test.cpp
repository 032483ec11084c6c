#include "hone/core/json.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "hone/core/error.h"
#include "hone/core/utf8.h"
#include "support/temporary_folder.h"

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
  CHECK(reason(R"({"a": 1, "b": 2, "a": 3})") == "file.json: /a: duplicate key");
  CHECK(reason(R"([0, {"x/~": {"b": 1, "b": 1}}])") == "file.json: /1/x~1~0/b: duplicate key");
}

TEST_CASE("a whole number beyond 64 bits stops no file: it becomes a double, which is no integer") {
  for (const char* text :
       {"18446744073709551616", "-9223372036854775809", "1000000000000000019884624838656"}) {
    const Json json = parse_json(R"({"a": [)" + std::string(text) + "]}", "s");
    CHECK(json["a"][0].is_number_float());
    CHECK_FALSE(json["a"][0].is_number_integer());
    CHECK(json["a"][0].get<double>() == std::stod(text));
    CHECK(parse_json(json.dump(), "printed") == json);
  }
}

TEST_CASE("parse_json refuses broken text") {
  for (const char* text : {"\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
                           "\"\xe2\x82\"", "{\"\xff\": 1}"}) {
    CHECK(reason(text).find("UTF-8") != std::string::npos);
  }
  for (const char* text : {"\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\ud800\"", "\"\\ud800x\""}) {
    CHECK(reason(text).find("surrogate") != std::string::npos);
  }
  for (const char* text : {"[1e999]", "[-1e999]"}) {
    CHECK(reason(text).starts_with("file.json: line 1, column "));
  }
  for (const char* text :
       {"",       " ",       "{} {}",   "[NaN]", "Infinity", "[1,]", "{\"a\":1,}",
        "{a: 1}", "'a'",     "01",      "+1",    ".5",       "1.",   "0x10",
        "\"\n\"", "\"\\x\"", "// c\n1", "[1",    "{\"a\"",   "\"a",  "nul"}) {
    INFO(text);
    CHECK(reason(text).starts_with("file.json: line "));
  }
  CHECK(reason(std::string("\"a\0b\"", 5)).starts_with("file.json: line 1, column 3: "));
}

TEST_CASE("parse_json takes what is strange but right") {
  CHECK(parse_json("\"\\ud83d\\ude00\\u0000\"", "s").get<std::string>() ==
        std::string("\xf0\x9f\x98\x80\0", 5));
  CHECK(parse_json("-9223372036854775808", "s").get<int64_t>() == INT64_MIN);
  CHECK(parse_json("[1.7976931348623157e308, 5e-324, -0.0]", "s").size() == 3);
  CHECK(parse_json("1e-999", "s").get<double>() == 0);
  CHECK(parse_json("\xef\xbb\xbf{\"\": {}}", "s").dump() == R"({"":{}})");  // a byte-order mark
  CHECK(parse_json(R"({"a": {"x": 1}, "b": {"x": 1}})", "s").size() == 2);
}

TEST_CASE("parse_json names line and column, counted in characters") {
  const auto place = [](const std::string& text) {
    const std::string said = reason(text);
    const size_t end = said.find(": ", said.find("column"));
    return said.substr(11, end - 11);
  };
  CHECK(place("{\"a\": 1,}") == "line 1, column 9");
  CHECK(place("{\n  \"a\": 1\n  \"b\": 2\n}") == "line 3, column 5");
  CHECK(place("{\"\xc3\xa9\xc3\xa9\": x}") == "line 1, column 8");
  CHECK(place("{\"é心\": }") == "line 1, column 8");
  CHECK(place("{\"a\": \"b\n\"}") == "line 1, column 9");  // the line's end itself
  CHECK(place("") == "line 1, column 1");
  CHECK(place("[1,\n") == "line 2, column 1");
  CHECK(reason("{\n\"a\": 1,\n\"b\": }").find("file.json: line 3, column 6: ") == 0);
}

TEST_CASE("what parse_json quotes of a file is short and steers no terminal") {
  const std::string shown = reason("\"" + std::string(100'000, 'a') + "\x1b[31m\xff\"");
  CHECK(shown.size() < 400);
  CHECK(shown.find('\x1b') == std::string::npos);
  CHECK(shown.find('\xff') == std::string::npos);
}

TEST_CASE("parse_json keeps to its limits") {
  CHECK(reason(std::string(65, '[') + std::string(65, ']')) == "file.json: nested deeper than 64");
  CHECK(reason(std::string(5'000'000, '[')) == "file.json: nested deeper than 64");
  CHECK(reason(std::string(64, '[') + std::string(64, ']')) == "no error");
  CHECK(reason("[1,2,3]", {.max_values = 3}) == "file.json: more than 3 values");
  CHECK(reason("[1,2]", {.max_values = 3}) == "no error");
  CHECK(reason(R"({"a": [{}]})", {.max_values = 2}) == "file.json: more than 2 values");
  CHECK(reason("[1,2,3]", {.max_bytes = 6}) == "file.json: holds 7 bytes of JSON; the limit is 6");
}

TEST_CASE("large objects parse in linear time and know their duplicates") {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i)
    text += "\"key" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  CHECK(parse_json(text + "\"end\":0}", "s").size() == 200'001);
  CHECK(reason(text + "\"key7\":0}") == "file.json: /key7: duplicate key");
}

TEST_CASE("a file that is no JSON text is called what it is") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/a.json";
  const std::pair<std::string, const char*> files[] = {{std::string("\x1f\x8b\x08\0", 4), "gzip"},
                                                       {std::string("\xff\xfe{\0}\0", 6), "UTF-16"},
                                                       {std::string("{\0\"\0a\0", 6), "UTF-16"},
                                                       {std::string("PAR1\x15\0", 6), "Parquet"},
                                                       {std::string("PK\x03\x04", 4), "zip"}};
  for (const auto& [bytes, kind] : files) {
    std::ofstream(path, std::ios::binary) << bytes;
    CHECK_THROWS_WITH(read_json_file(path), Catch::Contains(std::string("is a ") + kind));
  }
}

TEST_CASE("printable text keeps characters and shows what is none") {
  CHECK(printable("é\tb\n") == "é\tb\n");
  CHECK(printable("a\xff\x1b[0m\x7f\xc2\x9b") == "a\\xFF\\x1B[0m\\x7F\\x9B");
  CHECK(shortened("abc", 3) == "abc");
  CHECK(shortened("ab心", 3) == "ab...");
}

TEST_CASE("is_utf8") {
  for (const char* text : {"", "plain", "h\xc3\xa9", "\xf0\x9f\x98\x80"}) CHECK(is_utf8(text));
  for (const char* text : {"\xc3", "a\xa9", "\xc0\xaf", "\xed\xa0\x80"}) CHECK_FALSE(is_utf8(text));
}

TEST_CASE("read_json_file names the file") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/a.json";
  CHECK_THROWS_WITH(read_json_file(path), path + ": cannot open: No such file or directory");
  std::ofstream(path) << "[1, 2]";
  CHECK(read_json_file(path) == Json{1, 2});
  CHECK_THROWS_WITH(read_json_file(path, {.max_bytes = 5}),
                    path + ": holds 6 bytes; the limit is 5");
  std::ofstream(path) << "[1,\n2";
  CHECK_THROWS_WITH(read_json_file(path), Catch::StartsWith(path + ": line 2, column "));
}

}  // namespace
}  // namespace hone
