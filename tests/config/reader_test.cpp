#include "hone/config/reader.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <string>

#include "config/sample.h"
#include "hone/config/writer.h"

namespace hone::config {
namespace {

using sample::Mode;
using sample::Sample;

Sample read(const std::string& text) { return read_config<Sample>(parse_json(text, "test")); }

/// All problems of a document that only lacks "about", one a line; "" if there are none.
std::string problems(const std::string& members) {
  try {
    read(R"({"about": "x")" + (members.empty() ? "" : ", " + members) + "}");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("every kind of field is read") {
  const Sample got = read(R"({
    "$schema": "../schema.json", "about": "é", "verbose": true, "steps": 7, "seed": -3, "lr": 1,
    "bias": -2.5, "mode": "fast", "fallback": "safe", "limit": 5, "depth": null,
    "adapter": {"rank": 4}, "second": {"targets": ["a", "b"]}, "rates": [], "sources":
    [{"file": "f"}, {"file": "g", "weight": 2}], "grid": [[1, -2], []],
    "weights": {"a.b/c~d": 2.5}, "named": {"n": {"file": "h"}}})");
  Sample want;
  want.about = "é";
  want.verbose = true;
  want.steps = 7;
  want.seed = -3;
  want.lr = 1;
  want.bias = -2.5;
  want.mode = Mode::kFast;
  want.fallback = Mode::kSafe;
  want.limit = 5;
  want.depth = std::nullopt;
  want.adapter.rank = 4;
  want.second = sample::Adapter{8, {"a", "b"}};
  want.rates = {};
  want.sources = {{"f", 1}, {"g", 2}};
  want.grid = {{1, -2}, {}};
  want.weights = {{"a.b/c~d", 2.5}};
  want.named = {{"n", {"h", 1}}};
  CHECK(got == want);
}

TEST_CASE("absent keys keep the defaults given, lists are replaced whole") {
  Sample defaults;
  defaults.steps = 9;
  defaults.adapter = {16, {"k_proj"}};
  defaults.second = sample::Adapter{32, {"v_proj"}};
  const Json json = parse_json(R"({"about": "", "adapter": {"targets": ["o_proj"]},
                                   "second": {"rank": 2}})",
                               "test");
  const Sample got = read_config<Sample>(json, defaults);
  CHECK(got.steps == 9);
  CHECK(got.adapter == sample::Adapter{16, {"o_proj"}});
  CHECK(got.second == sample::Adapter{2, {"v_proj"}});
}

TEST_CASE("unknown keys name the nearest known one, or all") {
  CHECK(problems(R"("stesp": 1)") == "/stesp: unknown key; did you mean steps?");
  CHECK(problems(R"("adapter": {"rnak": 1})") == "/adapter/rnak: unknown key; did you mean rank?");
  CHECK(problems(R"("adapter": {"quite/other": 1})") ==
        "/adapter[\"quite/other\"]: unknown key; known: rank, targets");
  CHECK(problems(R"("$schema": 5)").starts_with("/$schema: unknown key"));
  CHECK(problems(R"("adapter": {"$schema": "s"})").starts_with("/adapter/$schema: unknown key"));
}

TEST_CASE("a key that stands at another level is told where it belongs") {
  CHECK(problems(R"("rank": 4)") ==
        "/rank: unknown key; did you mean adapter.rank or second.rank?");
  CHECK(problems(R"("adapter": {"steps": 4})") ==
        "/adapter/steps: unknown key; did you mean steps?");
  CHECK(problems(R"("file": "f")") ==
        "/file: unknown key; did you mean sources[].file or named.<name>.file?");
  CHECK(problems(R"("controllers": {})") ==
        "/controllers: unknown key; recipes of hone-dynamic have it");
  CHECK(problems(R"("output_dir": "x")") ==
        "/output_dir: unknown key; the folder is named by --out");
}

TEST_CASE("wrong types say what was expected and what came") {
  CHECK(problems(R"("verbose": 1)") == "/verbose: expected true or false, got 1");
  CHECK(problems(R"("steps": 2.9)") == "/steps: expected integer, got 2.9");
  CHECK(problems(R"("steps": "7")") == "/steps: expected integer, got \"7\"");
  CHECK(problems(R"("steps": true)") == "/steps: expected integer, got true");
  CHECK(problems(R"("steps": null)") == "/steps: expected integer, got null");
  CHECK(problems(R"("lr": [1])") == "/lr: expected number, got a list");
  CHECK(problems(R"("mode": "fsat")") ==
        "/mode: expected one of fast, safe, got \"fsat\"; did you mean fast?");
  CHECK(problems(R"("mode": 0)") == "/mode: expected one of fast, safe, got 0");
  CHECK(problems(R"("adapter": 3)") == "/adapter: expected object, got 3");
  CHECK(problems(R"("rates": {"a": 1})") == "/rates: expected list, got an object");
  CHECK(problems(R"("grid": [[1], 2, [3.5]])") ==
        "/grid/1: expected list, got 2\n/grid/2/0: expected integer, got 3.5");
  CHECK(problems(R"("weights": {"a": "b"})") == "/weights/a: expected number, got \"b\"");
  CHECK_THROWS_WITH(read("[]"), "/: expected object, got a list");
}

TEST_CASE("a long value is cut in messages, between characters") {
  const std::string message = problems("\"steps\": \"" + std::string(55, 'x') + "éééééé\"");
  CHECK(message == "/steps: expected integer, got \"" + std::string(55, 'x') + "...");
}

TEST_CASE("numbers out of range are refused") {
  CHECK(problems(R"("steps": 1001)") == "/steps: must be in [0, 1000], got 1001");
  CHECK(problems(R"("steps": 1e300)") == "/steps: must be in [0, 1000], got 1e+300");
  CHECK(problems(R"("lr": -1e-9)") == "/lr: must be in [0, 10], got -1e-09");
  CHECK(problems(R"("limit": 51, "mode": "fast")") == "/limit: must be in [1, 50], got 51");
  CHECK(problems(R"("rates": [0, 1, 1.5])") == "/rates/2: must be in [0, 1], got 1.5");
  CHECK(problems(R"("steps": 1000, "lr": 10, "rates": [0, 1])").empty());
}

TEST_CASE("integers are exact") {
  CHECK(read(R"({"about": "", "seed": 9223372036854775807})").seed == INT64_MAX);
  CHECK(read(R"({"about": "", "seed": -9223372036854775808})").seed == INT64_MIN);
  CHECK(read(R"({"about": "", "seed": 9007199254740993})").seed == 9007199254740993);
  CHECK(read(R"({"about": "", "seed": 1e3})").seed == 1000);
  const std::string digits = "/seed: expected integer of 64 bits written in digits, got ";
  CHECK(problems(R"("seed": 9223372036854775808)") == digits + "9223372036854775808");
  CHECK(problems(R"("seed": 1e16)") == digits + "1e+16");
  CHECK(problems(R"("seed": 1000000000000000019884624838656)") == digits + "1e+30");
  CHECK(problems(R"("seed": -9223372036854775809)") == digits + "-9.223372036854776e+18");
}

struct Bounds {
  double low = 1, high = 1;
  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("low", self.low, "", Range{1, INFINITY});
    v("high", self.high, "", Range{-INFINITY, 2});
  }
};

TEST_CASE("a range may be open on one side") {
  const Json json = parse_json(R"({"low": 0, "high": 3})", "test");
  CHECK_THROWS_WITH(read_config<Bounds>(json),
                    "/low: must be at least 1, got 0\n/high: must be at most 2, got 3");
}

TEST_CASE("required keys must be there, in nested structs too") {
  CHECK_THROWS_WITH(read("{}"), "/about: required key is missing: What it shows.");
  CHECK(problems(R"("sources": [{"weight": 1}, {"file": "f"}])") ==
        "/sources/0/file: required key is missing: File.");
  CHECK(problems(R"("named": {"a/b": {}})") ==
        "/named[\"a/b\"]/file: required key is missing: File.");
}

TEST_CASE("a struct that is left out still misses its required keys and is validated") {
  CHECK_THROWS_WITH(read_config<sample::Holder>(Json::object()),
                    "/source/file: required key is missing: File.");
  Sample defaults;
  defaults.adapter.targets = {};
  CHECK_THROWS_WITH(read_config<Sample>(parse_json(R"({"about": ""})", "test"), defaults),
                    "/adapter/targets: must name a module");
}

TEST_CASE("keys without effect are problems only where given") {
  CHECK(problems(R"("limit": 5)") == "/limit: has no effect in mode safe; remove it");
  CHECK(problems(R"("limit": null)").empty());
  CHECK(problems(R"("limit": 5, "mode": "fast")").empty());
  CHECK(problems(R"("steps": 0)").empty());
  CHECK(problems(R"("steps": 0, "adapter": {})") ==
        "/adapter: has no effect with steps 0; remove it");
}

TEST_CASE("all problems come at once, each once") {
  CHECK(problems(R"("verbose": 1, "steps": -1, "modes": 2, "lr": 0, "limit": 5,
                    "adapter": {"rank": "x", "targets": []}, "rates": [2, "y"])") ==
        "/verbose: expected true or false, got 1\n"
        "/steps: must be in [0, 1000], got -1\n"
        "/adapter/rank: expected integer, got \"x\"\n"
        "/adapter/targets: must name a module\n"
        "/rates/0: must be in [0, 1], got 2\n"
        "/rates/1: expected number, got \"y\"\n"
        "/modes: unknown key; did you mean mode?\n"
        "/limit: has no effect in mode safe; remove it\n"
        "/lr: must be above 0 to learn");
}

TEST_CASE("what the reader refuses brings no second complaint from validate()") {
  CHECK(problems(R"("adapter": {"targets": 5})") == "/adapter/targets: expected list, got 5");
  CHECK(problems(R"("limit": "x")") == "/limit: expected integer, got \"x\"");
  // The list holds one item, although a bad one.
  CHECK(problems(R"("adapter": {"targets": [5]})") == "/adapter/targets/0: expected string, got 5");
  CHECK(problems(R"("sources": [{"file": 1}], "weights": {"a": 1, "b": "c"})") ==
        "/sources/0/file: expected string, got 1\n"
        "/weights/b: expected number, got \"c\"\n"
        "/weights: are more than sources");
}

TEST_CASE("problems() holds them one by one") {
  try {
    read(R"({"about": 1, "steps": 1001})");
    FAIL("accepted");
  } catch (const ConfigError& error) {
    REQUIRE(error.problems().size() == 2);
    CHECK(error.problems()[0].path == "/about");
    CHECK(error.problems()[1].path == "/steps");
    CHECK(error.problems()[1].message == "must be in [0, 1000], got 1001");
  }
}

}  // namespace
}  // namespace hone::config
