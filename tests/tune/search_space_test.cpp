#include "hone/tune/samplers/detail/search_space_group.h"
#include "hone/tune/samplers/detail/transform.h"
#include "support/catch.h"

using namespace hone::tune;

namespace {

TrialPtr trial(int64_t number, std::vector<Param> params,
               TrialState state = TrialState::kComplete) {
  Trial t{.id = number, .number = number, .state = state};
  t.params = std::move(params);
  return std::make_shared<const Trial>(std::move(t));
}

const Distribution kUnit = FloatDistribution{0, 1};
const Distribution kWide = FloatDistribution{0, 2};
const Distribution kOne = IntDistribution{3, 3};

std::vector<std::string> names(const SearchSpace& space) {
  std::vector<std::string> all;
  for (const auto& [name, distribution] : space) all.push_back(name);
  return all;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("The intersection has what every complete and pruned trial has") {
  StudyView study{.directions = {Direction::kMinimize}};
  CHECK(intersection_space(study, true).empty());
  study.trials = {
      trial(0, {{"c", .5, kUnit}, {"a", .1, kUnit}, {"b", .2, kUnit}, {"one", 3, kOne}}),
      trial(1, {{"a", .1, kUnit}, {"b", .2, kWide}, {"one", 3, kOne}}, TrialState::kPruned),
      trial(2, {}, TrialState::kFail), trial(3, {}, TrialState::kRunning)};
  CHECK(names(intersection_space(study, true)) == Names{"a"});
  const SearchSpace open = intersection_space(study, false);
  CHECK(names(open) == Names{"a", "b"});
  CHECK(open.at("b") == kWide);  // the newer trial's
}

TEST_CASE("An older trial that ends later does not set the bounds") {
  detail::IntersectionSpace space;
  space.add(*trial(5, {{"b", .2, kWide}}), false);
  space.add(*trial(2, {{"b", .2, kUnit}}), false);
  CHECK(space.space().at("b") == kWide);
}

TEST_CASE("Groups are blocks that trials cover fully or not at all, in Optuna's order") {
  detail::SpaceGroup group;
  group.add(*trial(0, {{"a", 0, kUnit}, {"b", 0, kUnit}, {"one", 3, kOne}}));
  CHECK(group.spaces().size() == 1);
  group.add(*trial(1, {{"a", 0, kUnit}, {"c", 0, kUnit}}));
  auto spaces = group.spaces();
  REQUIRE(spaces.size() == 3);
  CHECK(names(spaces[0]) == Names{"a"});
  CHECK(names(spaces[1]) == Names{"b"});
  CHECK(names(spaces[2]) == Names{"c"});
  group.add(*trial(2, {{"d", 0, kUnit}, {"b", 0, kUnit}, {"c", 0, kUnit}}));
  group.add(*trial(3, {}));
  spaces = group.spaces();
  REQUIRE(spaces.size() == 4);
  CHECK(names(spaces[3]) == Names{"d"});
}

TEST_CASE("Every grid point owns an equal share of the transformed interval") {
  using namespace detail;
  const Distribution step = FloatDistribution{0, 0.5, false, 0.05};
  CHECK(bounds(step).low == -0.025);
  CHECK(untransform(step, 0.0249) == 0);
  CHECK(untransform(step, 0.0251) == 0.05);
  CHECK(untransform(step, 0.525) == 0.5);
  const Distribution integer = IntDistribution{4, 12, false, 4};
  CHECK(bounds(integer).high == 14);
  CHECK(untransform(integer, 5.99) == 4);
  CHECK(untransform(integer, 6) == 8);
  const Distribution log = IntDistribution{1, 256, true};
  CHECK(bounds(log).low == std::log(0.5));
  CHECK(untransform(log, transform(log, 37)) == 37);
  CHECK(untransform(log, bounds(log).low) == 1);  // exp gives .5, which rounds to 0
  const Distribution choice = CategoricalDistribution{{"a", "b", "c"}};
  CHECK(from_unit(choice, 0.34) == 1);
  CHECK(from_unit(choice, 1) == 2);
  CHECK(from_unit(choice, to_unit(choice, 2)) == 2);
  CHECK(to_unit(FloatDistribution{2, 2}, 2) == 0.5);
  CHECK(untransform(kUnit, 1) < 1);
  const Distribution logarithmic = FloatDistribution{1e-6, 0.1, true};
  CHECK(from_unit(logarithmic, 0) == Approx(1e-6));
  CHECK(from_unit(logarithmic, 0.5) == Approx(std::sqrt(1e-7)));
  CHECK(from_unit(logarithmic, 1) < 0.1);
}
