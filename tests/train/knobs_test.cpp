#include "hone/train/controllers/knobs.h"

#include <cmath>
#include <set>
#include <string>

#include "hone/core/error.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::train;

namespace {

/// knob_problem of the value; the knob must be there.
std::string problem(const char* knob, const Json& value) {
  const KnobInfo* info = find_knob(knob);
  REQUIRE(info);
  return knob_problem(*info, value);
}

}  // namespace

TEST_CASE("A knob is set and read by its name") {
  Knobs knobs;
  double scale = 1;
  knobs.add("lr_scale", {[&] { return scale; }, [&](const Json& v) { scale = v.get<double>(); }});
  CHECK(knobs.contains("lr_scale"));
  CHECK_FALSE(knobs.contains("dropout"));
  knobs.set("lr_scale", 0.5);
  CHECK(scale == 0.5);
  CHECK(knobs.get("lr_scale") == 0.5);
  CHECK_THROWS_WITH(knobs.get("dropout"), "this run has no knob dropout");
  CHECK_THROWS_WITH(knobs.set("dropout", 0.1), "this run has no knob dropout");
  CHECK_THROWS_WITH(knobs.set("lr_scale", Json::array()),
                    "the knob lr_scale cannot be [], it is now 0.5");
  knobs.add("lr_scale", {[] { return 7; }, [](const Json&) {}});
  CHECK(knobs.get("lr_scale") == 7);
}

TEST_CASE("Every knob has a name of its own and a line of help") {
  std::set<std::string> names;
  for (const KnobInfo& knob : all_knobs()) {
    CHECK(names.insert(knob.name).second);
    CHECK_FALSE(std::string(knob.help).empty());
    CHECK(find_knob(knob.name) == &knob);
    CHECK_FALSE((knob.whole && !knob.range));
  }
  CHECK_FALSE(find_knob(""));
  CHECK_FALSE(find_knob("lr_scal"));
}

TEST_CASE("Numbers: in the range, its ends included, and whole where they count") {
  for (const KnobInfo& knob : all_knobs()) {
    if (!knob.range) continue;
    INFO(knob.name);
    const auto [low, high] = *knob.range;
    CHECK(knob_problem(knob, low) == "");
    CHECK(knob_problem(knob, high) == "");
    CHECK_THAT(knob_problem(knob, low - 1), Catch::StartsWith("must be in ["));
    CHECK_THAT(knob_problem(knob, std::nextafter(high, 2 * high)), Catch::StartsWith("must be in"));
    CHECK(knob_problem(knob, "1") == "must be a number");
    CHECK(knob_problem(knob, nullptr) == "must be a number");
  }
  CHECK(problem("accumulation", 2.5) == "must be a whole number");
  CHECK(problem("accumulation", 2.0) == "");
  CHECK(problem("dropout", 0.9991) == "must be in [0, 0.999]");
  CHECK(problem("lr_scale", 2.5) == "");
}

TEST_CASE("Acts and names") {
  CHECK(problem("stop", true) == "");
  for (const Json& value : {Json(false), Json(1), Json("true")}) {
    CHECK(problem("stop", value) == "must be true");
  }
  for (const char* knob : {"snapshot", "rollback"}) {
    CHECK(problem(knob, "best") == "");
    CHECK(problem(knob, 3) == "must be a name");
  }
  for (const char* kind : {"heads", "channels", "experts", "layers"}) {
    CHECK(problem("cut", kind) == "");
  }
  CHECK(problem("cut", "head") == "must be heads, channels, experts or layers");
}

TEST_CASE("Weights by name") {
  const std::string wanted = "must be an object of numbers that are not negative, by name";
  for (const char* knob : {"domain_weights", "mix_weights"}) {
    CHECK(problem(knob, {{"law", 0}, {"general", 2.5}}) == "");
    CHECK(problem(knob, {{"law", -1e-9}}) == wanted);
    CHECK(problem(knob, {{"law", std::nan("")}}) == wanted);
    CHECK(problem(knob, {{"law", "1"}}) == wanted);
    CHECK(problem(knob, Json::object()) == wanted);
    CHECK(problem(knob, {1, 2}) == wanted);
  }
}

TEST_CASE("Layers by their numbers") {
  const std::string wanted = "must be a list of different layers by their numbers";
  CHECK(problem("frozen_layers", Json::array()) == "");
  CHECK(problem("frozen_layers", {0, 5, 3}) == "");
  CHECK(problem("frozen_layers", {0, 5, 0}) == wanted);
  CHECK(problem("frozen_layers", {-1}) == wanted);
  CHECK(problem("frozen_layers", {1.0}) == wanted);
  CHECK(problem("frozen_layers", 1) == wanted);
}

TEST_CASE("Merges of experts by layer") {
  const std::string wanted =
      "must be an object of lists of [from, into, share] by a layer's number";
  const auto of = [&](const Json& list) { return problem("merged_experts", {{"1", list}}); };
  CHECK(of(Json::array({Json{3, 0, 0.25}, Json{2, 0, 0}})) == "");
  CHECK(of(Json::array()) == "");
  CHECK(of(3) == wanted);
  CHECK(of(Json::array({3, 0})) == wanted);
  CHECK(of(Json::array({Json{3, 0}})) == wanted);
  CHECK(of(Json::array({Json{3.5, 0, 0.5}})) == wanted);
  CHECK(of(Json::array({Json{3, 0, "a"}})) == wanted);
  CHECK(problem("merged_experts", Json::object()) == wanted);
  CHECK(problem("merged_experts", {{"a", Json::array()}}) == wanted);
}

TEST_CASE("Masks by layer") {
  const std::string wanted = "must be an object of lists of 0 and 1 by a layer's number";
  for (const char* knob : {"heads", "channels", "experts", "layers"}) {
    CHECK(problem(knob, {{"0", {1, 0, 1}}, {"123456789", Json::array()}}) == "");
    CHECK(problem(knob, {{"1234567890", {1}}}) == wanted);
    CHECK(problem(knob, {{"", {1}}}) == wanted);
    CHECK(problem(knob, {{"1a", {1}}}) == wanted);
    CHECK(problem(knob, {{"0", 1}}) == wanted);
    CHECK(problem(knob, {{"0", {1, 2}}}) == wanted);
    CHECK(problem(knob, Json::object()) == wanted);
    CHECK(problem(knob, Json::array()) == wanted);
  }
}
