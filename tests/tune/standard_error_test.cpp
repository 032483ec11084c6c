#include "hone/tune/standard_error.h"

#include <catch2/catch.hpp>

#include "hone/tune/pareto.h"

namespace hone::tune {
namespace {

TrialPtr trial(int64_t number, double value, const Json& error = nullptr) {
  Trial made;
  made.number = number;
  made.state = TrialState::kComplete;
  made.values = {value};
  if (!error.is_null()) made.user_attrs[kStandardErrors] = Json::array({error});
  return std::make_shared<const Trial>(std::move(made));
}

TEST_CASE("a value is shown with its standard error where it has one") {
  CHECK(value_with_error(*trial(0, 0.5, 0.0351), 0) == "0.5 ± 0.035");
  CHECK(value_with_error(*trial(0, 0.5), 0) == "0.5");
  CHECK_FALSE(standard_error(*trial(0, 0.5, 0.1), 1));
  CHECK_FALSE(standard_error(*trial(0, 0.5, "no number"), 0));
}

TEST_CASE("trials that tie with the best, or that chance may have put behind it, are named") {
  const StudyView study{"s",
                        {Direction::kMaximize},
                        {trial(0, 0.5, 0.04), trial(1, 0.6, 0.03), trial(2, 0.6, 0.03),
                         trial(3, 0.56, 0.03), trial(4, 0.1, 0.03), trial(5, 0.59)}};
  const TrialPtr best = best_trial(study);
  CHECK(best->number == 1);
  const Ties found = ties(study, *best);
  CHECK(found.equal == std::vector<int64_t>{2});
  CHECK(found.within == std::vector<int64_t>{3, 5});
  CHECK(ties_text(found) == "tied with trial 2; within the standard error of trials 3, 5");
  CHECK(ties_text({}).empty());
  std::vector<int64_t> many(20);
  CHECK(ties_text({many, {}}) == "tied with trials 0, 0, 0, 0, 0, 0, 0, 0, ... (20 of them)");
}

TEST_CASE("values that only rounding tells apart tie") {
  const StudyView study{"s",
                        {Direction::kMinimize},
                        {trial(0, 104.05740885), trial(1, 104.05740878), trial(2, 104.06)}};
  CHECK(ties(study, *best_trial(study)).equal == std::vector<int64_t>{0});
}

}  // namespace
}  // namespace hone::tune
