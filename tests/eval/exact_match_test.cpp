// Values worked out by hand, and every error. tests/interop/text_metrics.py compares at large.
#include "hone/eval/metrics/exact_match.h"

#include <catch2/catch.hpp>

#include "failures.h"

namespace hone::eval {
namespace {

TEST_CASE("Exact match and token F1") {
  CHECK(normalize_answer(" The  U.S.\tof _a_ an\u0301 á theà") == "us of \u0301 á theà");
  CHECK(exact_match("The Eiffel-Tower.", {"x", "eiffeltower"}));
  CHECK_FALSE(exact_match("the Eiffel Tower", {"eiffel towers"}));
  const AnswerOptions nothing{false, false, false, false};
  CHECK_FALSE(exact_match("a", {"a "}, nothing));
  CHECK(normalize_answer(" The a.", nothing) == " The a.");
  CHECK(normalize_answer("the an  x", {.ignore_case = false,
                                       .ignore_punctuation = false,
                                       .ignore_articles = true,
                                       .ignore_whitespace = false}) == "     x");
  CHECK(token_f1("b b c", {"z", "b c d d"}) == Approx(4.0 / 7));
  CHECK(token_f1("the", {"a"}) == 1);
  CHECK(token_f1("the", {"b"}) == 0);
  const AnswerScore mean = mean_answer_score({"a b", "b c"}, {{"b"}, {"c"}});
  CHECK(mean.exact_match == 0.5);
  CHECK(mean.f1 == Approx((1 + 2.0 / 3) / 2));
  CHECK(failure([] { exact_match("a", {}); }) ==
        "exact_match: there is no reference to compare with");
  CHECK(failure([] { token_f1("a", {}); }) == "token_f1: there is no reference to compare with");
  CHECK(failure([] { mean_answer_score({}, {}); }) ==
        "exact_match: there is no hypothesis to score");
}

}  // namespace
}  // namespace hone::eval
