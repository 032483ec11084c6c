#include "hone/unicode/pattern.h"

#include "hone/core/error.h"
#include "support/catch.h"

namespace hone::unicode {
namespace {

TEST_CASE("A search begins at or after a byte and tells match and first group") {
  MatchScratch scratch;
  Match match{}, group{};
  const Pattern pattern("a(\\d*)");
  REQUIRE(pattern.search("a1 a22 a", 0, scratch, match, &group));
  CHECK((match.begin == 0 && match.end == 2 && group.begin == 1 && group.end == 2));
  REQUIRE(pattern.search("a1 a22 a", 1, scratch, match, &group));
  CHECK((match.begin == 3 && match.end == 6 && group.begin == 4 && group.end == 6));
  CHECK_FALSE(pattern.search("b", 0, scratch, match));
}

TEST_CASE("Classes know Unicode unless they are not to, and whole means first byte to last") {
  CHECK(Pattern("\\w+", {.whole = true}).matches("é中"));
  CHECK_FALSE(Pattern("\\w+", {.whole = true, .unicode_classes = false}).matches("é"));
  CHECK_FALSE(Pattern("\\w+", {.whole = true}).matches("a b"));
  CHECK(Pattern("\\w+").matches("a b"));
}

TEST_CASE("What does not compile is named with the place, what costs too much with the pattern") {
  CHECK_THROWS_WITH(Pattern("a(b", {}, "the user's"), Catch::Contains("the user's"));
  CHECK_THROWS_WITH(Pattern("\\C"), Catch::Contains("\\C"));
  const Pattern slow("(a+)+$", {.match_limit = 1000});
  CHECK_THROWS_WITH(slow.matches(std::string(40, 'a') + "b"), Catch::Contains("(a+)+$"));
}

}  // namespace
}  // namespace hone::unicode
