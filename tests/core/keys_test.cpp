#include "hone/core/keys.h"

#include <catch2/catch.hpp>

#include "hone/core/error.h"

namespace hone {
namespace {

const Json kObject = Json::parse(
    R"({"n": 7, "x": 2.5, "on": true, "t": "é", "list": [1, 2], "bad": [1, "2"], "none": null,
        "huge": 18446744073709551615})");

TEST_CASE("keys: what is there is read, what is absent or null is not") {
  Keys keys(kObject, "f.json", "/a");
  CHECK(keys.integer("n", 0, 7) == 7);
  CHECK(keys.number("x", 0, 3) == 2.5);
  CHECK(keys.flag("on") == true);
  CHECK(keys.required_character("t") == U'\u00e9');
  CHECK(keys.integers("list", 0, 9) == std::vector<int64_t>{1, 2});
  CHECK_FALSE(keys.text("none"));
  CHECK_FALSE(keys.text("gone"));
  CHECK(keys.required_choice("t", {"e", "é"}) == 1);
}

TEST_CASE("keys: the first problem throws, with file and place") {
  Keys keys(kObject, "f.json", "/a");
  const auto says = [](const char* text) { return Catch::Matchers::Message(text); };
  CHECK_THROWS_MATCHES(keys.required_integer("n", 8, 9), IoError,
                       says("f.json: /a/n: must be in [8, 9], got 7"));
  CHECK_THROWS_MATCHES(keys.integer("x", 0, 9), IoError,
                       says("f.json: /a/x: expected integer, got 2.5"));
  CHECK_THROWS_MATCHES(keys.integer("huge", 0, INT64_MAX), IoError,
                       says("f.json: /a/huge: must be in [0, 9223372036854775807], got "
                            "18446744073709551615"));
  CHECK_THROWS_MATCHES(keys.integers("bad", 0, 9), IoError,
                       says("f.json: /a/bad/1: expected integer, got \"2\""));
  CHECK_THROWS_MATCHES(keys.required_list("t"), IoError,
                       says("f.json: /a/t: expected list, got \"é\""));
  CHECK_THROWS_MATCHES(keys.required_text("none"), IoError, says("f.json: /a/none: is missing"));
  CHECK_THROWS_MATCHES(keys.below(kObject["list"], "list"), IoError,
                       says("f.json: /a/list: expected object, got a list"));
  CHECK_THROWS_MATCHES(keys.only({"n", "x", "om"}), IoError,
                       says("f.json: /a/on: unknown key; did you mean n?"));
}

TEST_CASE("keys: all problems are gathered, and what was to be read is harmless") {
  std::vector<std::string> problems;
  Keys keys(kObject, "", problems);
  CHECK(keys.required_integer("x", 3, 9) == 3);
  CHECK(keys.required_text("n").empty());
  CHECK(keys.required_object("gone").empty());
  CHECK(keys.required_list("on").empty());
  CHECK_FALSE(keys.required_flag("t"));
  keys.done();
  CHECK(joined(problems) ==
        "/x: must be in [3, 9], got 2.5; /n: expected string, got 7; /gone: is missing; "
        "/on: expected list, got true; /t: expected true or false, got \"é\"; /list: unknown key");
}

}  // namespace
}  // namespace hone
