#include "hone/config/overrides.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "config/sample.h"
#include "support/temporary_folder.h"

namespace hone::config {
namespace {

using sample::Sample;

std::string applied(const std::string& document, const std::vector<std::string>& assignments) {
  Json json = parse_json(document, "test");
  apply_overrides(json, assignments);
  return json.dump();
}

TEST_CASE("overrides set keys, making objects on the way") {
  CHECK(applied("{}", {"a=1"}) == R"({"a":1})");
  CHECK(applied("{}", {"a.b.c=3e-4", "a.b.d=true"}) == R"({"a":{"b":{"c":0.0003,"d":true}}})");
  CHECK(applied(R"({"a": {"b": 1}, "c": 2})", {"a.b=5"}) == R"({"a":{"b":5},"c":2})");
  CHECK(applied(R"({"a": null})", {"a.b=1"}) == R"({"a":{"b":1}})");
  CHECK(applied("{}", {"a=1", "a=2"}) == R"({"a":2})");
}

TEST_CASE("values are JSON where they are JSON, else text") {
  CHECK(applied("{}", {"a=[1,\"x\"]", "b={\"c\":null}", "d=null"}) ==
        R"({"a":[1,"x"],"b":{"c":null},"d":null})");
  CHECK(applied("{}", {"a=cuda", "b=\"10\"", "c=", "d=a=b", "e=[1"}) ==
        R"({"a":"cuda","b":"10","c":"","d":"a=b","e":"[1"})");
  CHECK(applied("{}", {"a=NaN", "b=1e999", "c= 5 "}) == R"({"a":"NaN","b":"1e999","c":5})");
}

TEST_CASE("numbers are positions in lists; the length appends") {
  CHECK(applied(R"({"a": [1, 2]})", {"a.0=5", "a.2=6"}) == R"({"a":[5,2,6]})");
  CHECK(applied(R"({"a": [{"b": 1}]})", {"a.0.b=2", "a.1.b=3"}) == R"({"a":[{"b":2},{"b":3}]})");
  for (const char* key : {"a.3", "a.-1", "a.x", "a.1x", "a.99999999999999999999"}) {
    Json json = parse_json(R"({"a": [1, 2]})", "test");
    CHECK_THROWS_WITH(apply_override(json, std::string(key) + "=0"),
                      "--set " + std::string(key) + "=0: \"" + std::string(key).substr(2) +
                          "\" is no position in a list of 2; its length appends one");
    CHECK(json.dump() == R"({"a":[1,2]})");
  }
}

TEST_CASE("a backslash takes the meaning from dots and equals signs") {
  CHECK(applied("{}", {R"(w.a\.b=1)"}) == R"({"w":{"a.b":1}})");
  CHECK(applied("{}", {R"(w.a\=b=1)"}) == R"({"w":{"a=b":1}})");
  CHECK(applied("{}", {R"(w\\.a=1)"}) == R"({"w\\":{"a":1}})");
  CHECK(applied("{}", {R"(w\x=a\.b)"}) == R"({"w\\x":"a\\.b"})");
}

TEST_CASE("bad overrides are all named and change nothing") {
  Json json = parse_json(R"({"a": 1})", "test");
  CHECK_THROWS_WITH(apply_overrides(json, {"a", "=1", "a.b=1", "a..b=1", "a=\xff", ""}),
                    "--set a: expected key=value, as in train.lr=3e-4\n"
                    "--set =1: has an empty key before '='\n"
                    "--set a.b=1: a is neither an object nor a list\n"
                    "--set a..b=1: has an empty key before '='\n"
                    "--set a=\xff: is not UTF-8\n"
                    "--set : expected key=value, as in train.lr=3e-4");
  CHECK(json.dump() == R"({"a":1})");
  CHECK_THROWS_WITH(apply_override(json, "b..c=1"), "--set b..c=1: has an empty key before '='");
  CHECK(json.dump() == R"({"a":1})");
}

TEST_CASE("an override goes through the same reader, with the same errors") {
  const auto load = [](const std::string& assignment) {
    return load_config<Sample>("", {"about=x", assignment});
  };
  CHECK(load("lr=3e-4").lr == 3e-4);
  CHECK(load("adapter.targets=[\"a\",\"b\"]").adapter.targets ==
        std::vector<std::string>{"a", "b"});
  CHECK(load("weights.medical=2.0").weights.at("medical") == 2.0);
  CHECK(load(R"(weights.a\.b=2)").weights.at("a.b") == 2.0);
  CHECK(load("depth=null").depth == std::nullopt);
  CHECK(load("mode=fast").mode == sample::Mode::kFast);
  CHECK_THROWS_WITH(load("adapter.rnak=3"), "/adapter/rnak: unknown key; did you mean rank?");
  CHECK_THROWS_WITH(load("steps=2.5"), "/steps: expected integer, got 2.5");
  CHECK_THROWS_WITH(load("limit=5"), "/limit: has no effect in mode safe; remove it");
}

TEST_CASE("default < file < --set") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/recipe.json";
  std::ofstream(path) << R"({"about": "file", "steps": 20, "seed": 30})";
  const Sample got = load_config<Sample>(path, {"seed=40", "seed=50"});
  CHECK(got.lr == Sample{}.lr);
  CHECK(got.steps == 20);
  CHECK(got.seed == 50);
}

TEST_CASE("a file that is no JSON or missing is an IoError") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/recipe.json";
  CHECK_THROWS_AS(load_config<Sample>(path, {}), IoError);
  std::ofstream(path) << R"({"about": "x", "adapter": {"rank": 1, "rank": 2}})";
  CHECK_THROWS_WITH(load_config<Sample>(path, {}), path + ": /adapter/rank: duplicate key");
}

}  // namespace
}  // namespace hone::config
