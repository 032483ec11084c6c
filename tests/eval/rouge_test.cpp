// Values worked out by hand, and every error. tests/interop/text_metrics.py compares at large.
#include "hone/eval/metrics/rouge.h"

#include <catch2/catch.hpp>

#include "failures.h"

namespace hone::eval {
namespace {

TEST_CASE("ROUGE of n-grams and of subsequences") {
  const auto scores = rouge("The cat, sat!", {"the fat cat sat down"});
  CHECK(scores[0].precision == 1);
  CHECK(scores[0].recall == Approx(3.0 / 5));
  CHECK(scores[0].fmeasure == Approx(2 * 0.6 / 1.6));
  CHECK(scores[1].precision == 0.5);
  CHECK(scores[1].recall == 0.25);
  CHECK(scores[2].recall == Approx(3.0 / 5));
  // Each line of the reference is covered by the lines of the hypothesis together: a c, then b d.
  const RougeScore sum = rouge("a b c\nd b", {"a x c b\nd y"}, {.types = {RougeType::kLsum}})[0];
  CHECK(sum.precision == Approx(4.0 / 5));
  CHECK(sum.recall == Approx(4.0 / 6));
  CHECK(rouge("", {"a"})[2].fmeasure == 0);
  CHECK(rouge("好", {"好"})[0].fmeasure == 0);
  CHECK(rouge("relational skies", {"relate sky"}, {.use_stemmer = true})[0].fmeasure == 1);
}

TEST_CASE("ROUGE takes the best reference of each type, and the mean of segments") {
  const std::vector<std::string> references{"a b c d", "c b a", "a b x y z w v"};
  const auto scores = rouge("a b c", references, {.types = {RougeType::k1, RougeType::k2}});
  CHECK(scores[0].recall == 1);                // of "c b a"
  CHECK(scores[1].recall == Approx(2.0 / 3));  // of "a b c d"
  const auto mean = mean_rouge({"a b c", "q"}, {references, {"a"}}, {.types = {RougeType::k1}});
  CHECK(mean[0].recall == 0.5);
  CHECK(failure([] { rouge("a", {}); }) == "ROUGE: there is no reference to compare with");
  CHECK(failure([] { rouge("a", {"a"}, {.types = {}}); }) ==
        "ROUGE: types names no score to compute");
  CHECK(failure([] { mean_rouge({"a"}, {}); }) ==
        "ROUGE: expected a list of references for each of 1 hypotheses, got 0");
  CHECK(problems(RougeOptions{.types = {}}) ==
        "/types: must name at least one of rouge1 to rouge9, rougeL, rougeLsum\n");
  CHECK(problems(RougeOptions{}) == "");
}

}  // namespace
}  // namespace hone::eval
