#include "hone/config/writer.h"

#include <catch2/catch.hpp>

#include "config/sample.h"

namespace hone::config {
namespace {

using sample::Mode;
using sample::Sample;

TEST_CASE("to_json writes every key in order, defaults included") {
  CHECK(to_json(Sample{}).dump() ==
        R"({"about":"","verbose":false,"steps":100,"seed":0,"lr":0.0001,"bias":0.0,"mode":"safe",)"
        R"("fallback":null,"limit":null,"depth":3,"adapter":{"rank":8,"targets":["q_proj"]},)"
        R"("second":null,"rates":[0.5],"sources":[],"grid":[],"weights":{},"named":{}})");
}

TEST_CASE("to_json leaves out what would be refused for being given") {
  Sample sample;
  sample.mode = Mode::kFast;
  sample.limit = 5;
  CHECK(to_json(sample).at("limit") == 5);
  sample.mode = Mode::kSafe;
  CHECK_FALSE(to_json(sample).contains("limit"));
  sample.steps = 0;
  CHECK_FALSE(to_json(sample).contains("adapter"));
  sample.weights = {{"a~/b", 0}, {"c", 1}};
  CHECK(to_json(sample).at("weights").dump() == R"({"c":1.0})");
}

TEST_CASE("read_config(to_json(x)) is x") {
  for (const char* text : {
           R"({"about": "x"})",
           R"({"about": "\u0000\n\ud83d\ude00", "steps": 0, "seed": -9223372036854775808})",
           R"({"about": "", "lr": 0.1, "bias": 1.7976931348623157e308, "rates": [1e-320, 0.3]})",
           R"({"about": "", "mode": "fast", "limit": 1, "second": {}, "fallback": "fast"})",
           R"({"about": "", "weights": {"": 1, "a.b": 2, "~/": 3}, "grid": [[], [1]]})",
           R"({"about": "", "sources": [{"file": "a"}], "named": {"n": {"file": "b"}}})",
       }) {
    const Sample value = read_config<Sample>(parse_json(text, "test"));
    const Json json = to_json(value);
    CHECK(read_config<Sample>(json) == value);
    CHECK(read_config<Sample>(parse_json(json.dump(2), "printed")) == value);
    CHECK(to_json(read_config<Sample>(json)) == json);
  }
}

TEST_CASE("an optional that its default fills is null when empty") {
  const Sample value = read_config<Sample>(parse_json(R"({"about": "", "depth": null})", "test"));
  CHECK(read_config<Sample>(to_json(value)) == value);
}

TEST_CASE("validate() of a struct made in code reports everything, given keys aside") {
  Sample sample;
  CHECK_NOTHROW(validate(sample));
  sample.limit = 5;
  CHECK_NOTHROW(validate(sample));
  sample.lr = 0;
  sample.second = sample::Adapter{1, {}};
  CHECK_THROWS_WITH(validate(sample),
                    "/second/targets: must name a module\n/lr: must be above 0 to learn");
}

}  // namespace
}  // namespace hone::config
