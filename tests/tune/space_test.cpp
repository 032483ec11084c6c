#include "hone/tune/space.h"

#include "hone/core/error.h"
#include "hone/tune/samplers/random_sampler.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::tune;

namespace {

ParameterOptions real(double low, double high) { return {.low = low, .high = high}; }
ParameterOptions choice(std::vector<Json> choices) {
  return {.type = ParameterType::kCategorical, .choices = std::move(choices)};
}

SpaceOptions conditional() {
  SpaceOptions options{{"/a/rank", {.type = ParameterType::kInt, .low = 1, .high = 3}},
                       {"/tuning", choice({"full", "lora"})},
                       {"/z", real(0, 1)}};
  options["/a/rank"].when["/tuning"] = {"lora"};
  return options;
}

std::string problems_of(const SpaceOptions& options) {
  try {
    Space space(options, "/space");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("Parameters come after those that their conditions name") {
  const Space space(conditional(), "/space");
  CHECK(space.names() == std::vector<std::string>{"/tuning", "/a/rank", "/z"});
  CHECK(space.conditional());
  CHECK_FALSE(space.numeric());
  CHECK(Space({{"x", real(0, 1)}}, "").numeric());
}

TEST_CASE("A conditional parameter is suggested only where its condition holds") {
  const Space space(conditional(), "/space");
  const auto sampler = make_random_sampler(3);
  Trial trial;
  int with = 0, without = 0;
  for (int i = 0; i < 100; ++i) {
    const auto params = suggest(space, *sampler, {"s", {Direction::kMinimize}, {}}, trial);
    const bool lora = params[0].value == 1;
    REQUIRE(params.size() == (lora ? 3u : 2u));
    ++(lora ? with : without);
  }
  CHECK(with > 20);
  CHECK(without > 20);
}

TEST_CASE("Values given beforehand are taken, single ones need no draw") {
  const Space space({{"a", real(2, 2)}, {"b", real(0, 1)}}, "/space");
  const auto sampler = make_random_sampler(3);
  Trial trial;
  const auto params =
      suggest(space, *sampler, {"s", {Direction::kMinimize}, {}}, trial, {{"b", 0.25}});
  CHECK(params[0].value == 2);
  CHECK(params[1].value == 0.25);
}

TEST_CASE("Contradictory conditions are refused with their paths") {
  SpaceOptions options = conditional();
  options["/a/rank"].when = {{"/tunin", {"lora"}}};
  CHECK_THAT(problems_of(options),
             Catch::Contains("/space[\"/a/rank\"]/when[\"/tunin\"]: no parameter") &&
                 Catch::Contains("did you mean /tuning?"));
  options["/a/rank"].when = {{"/tuning", {"qlora"}}};
  CHECK_THAT(problems_of(options), Catch::Contains("\"qlora\" is not in"));
  options["/a/rank"].when = {{"/tuning", {}}};
  CHECK_THAT(problems_of(options), Catch::Contains("at least one value"));
  options = conditional();
  options["/tuning"].when["/a/rank"] = {2};
  CHECK_THAT(problems_of(options), Catch::Contains("circle"));
}

TEST_CASE("A grid holds every point once, conditions heeded") {
  SpaceOptions options = conditional();
  CHECK_THROWS_WITH(grid(Space(options, "/space"), "/space"),
                    Catch::Contains("/space[\"/z\"]/step: is needed for a grid"));
  options["/z"].step = 0.5;
  const auto points = grid(Space(options, "/space"), "/space");
  CHECK(points.size() == 3 * (1 + 3));
  int full = 0;
  for (const auto& point : points) full += point.size() == 2;
  CHECK(full == 3);
}
