#include "hone/view/knob_text.h"

#include <catch2/catch.hpp>

namespace hone::view {
namespace {

TEST_CASE("what knobs are set to is told in words") {
  CHECK(knob_text("heads", Json::parse(R"({"0":[1,0,1],"3":[0,1,0]})")) == "3 of 6 heads");
  CHECK(knob_text("layers", Json::parse(R"({"0":[1],"1":[0]})")) == "1 of 2 layers");
  CHECK(knob_text("frozen_layers", Json::parse("[0,1]")) == "0, 1");
  CHECK(knob_text("frozen_layers", Json::array()) == "none");
  CHECK(knob_text("mix_weights", Json::parse(R"({"law":0.5,"a":1})")) == "law 0.5, a 1");
  CHECK(knob_text("accumulation", 12'345) == "12345");
  CHECK(knob_text("lr_scale", 1.0) == "1");
  CHECK(knob_text("stop", true) == "true");
  CHECK(knob_text("cut", nullptr).empty());
  CHECK(knob_text("x", Json::parse(R"({"a":{"b":"ä"}})")) == R"({"a":{"b":"ä"}})");
  CHECK(knob_text("x", "ääää", 3) == "ä…");
  const auto masks = [](const char* text) { return Json::parse(text); };
  CHECK(changed_knob_text("heads", masks(R"({"0":[1,0],"1":[1,1]})"),
                          masks(R"({"0":[1,1],"1":[1,0]})")) == "3 of 4 heads, 1 exchanged");
  CHECK(changed_knob_text("heads", masks(R"({"0":[1,1],"1":[1,1]})"),
                          masks(R"({"0":[1,1],"1":[1,0]})")) == "3 of 4 heads");
  CHECK(changed_knob_text("lr_scale", 1.0, 0.5) == "0.5");
}

TEST_CASE("only the copies that a run keeps to go back to are its own affair") {
  CHECK(is_bookkeeping("snapshot"));
  CHECK_FALSE(is_bookkeeping("rollback"));
  CHECK_FALSE(is_bookkeeping("lr_scale"));
}

}  // namespace
}  // namespace hone::view
