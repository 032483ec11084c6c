#include "hone/tune/samplers/quasi_random_sampler.h"

#include <set>

#include "support/catch.h"

using namespace hone::tune;

TEST_CASE("Workers of one seed never share a quasi-random point") {
  const Distribution unit = FloatDistribution{0, 1};
  const Distribution choice = CategoricalDistribution{{"a", "b", "c", "d"}};
  Trial first{.number = 0, .state = TrialState::kComplete};
  first.params = {{"x", .5, unit}, {"c", 0, choice}, {"one", 1, IntDistribution{1, 1}}};
  const StudyView study{"", {Direction::kMinimize}, {std::make_shared<const Trial>(first)}};
  const auto one = make_quasi_random_sampler(3), two = make_quasi_random_sampler(3);
  two->reseed(17);
  std::set<double> seen;
  std::vector<int> counts(4);
  for (int64_t i = 0; i < 64; ++i) {
    Trial trial{.number = i};
    const Suggestion s = (i % 2 ? one : two)->sample_relative(study, trial);
    REQUIRE(s.size() == 2);
    seen.insert(s.at("x"));
    ++counts[static_cast<size_t>(s.at("c"))];
  }
  CHECK(seen.size() == 64);
  CHECK(counts == std::vector<int>(4, 16));
  Trial trial{.number = 5};
  CHECK(one->sample_relative({"", {Direction::kMinimize}, {}}, trial).empty());
  CHECK(contains(unit, one->sample_independent(study, trial, "x", unit)));
}
