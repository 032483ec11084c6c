#include "hone/eval/metrics/references.h"

#include <catch2/catch.hpp>

#include "failures.h"
#include "hone/eval/metrics/bleu.h"
#include "hone/eval/metrics/chrf.h"
#include "hone/eval/metrics/exact_match.h"
#include "hone/eval/metrics/rouge.h"

namespace hone::eval {
namespace {

TEST_CASE("Every segment needs a reference, and there must be one") {
  const auto refusal = [](const Hypotheses& hypotheses, const References& references) {
    return failure([&] { detail::check_segments("M", hypotheses, references); });
  };
  CHECK(refusal({"a", "b"}, {{"a"}, {"b", "c"}}) == "");
  CHECK(refusal({}, {}) == "M: there is no hypothesis to score");
  CHECK(refusal({"a"}, {{"a"}, {"b"}}) ==
        "M: expected a list of references for each of 1 hypotheses, got 2");
  CHECK(refusal({"a", "b"}, {{}, {"b"}}) == "M: segment 0 (from 0) has no reference");
}

TEST_CASE("References are counted as sacrebleu's signatures have it") {
  CHECK(detail::reference_count({{"a"}}) == "1");
  CHECK(detail::reference_count({{"a", "b"}, {"c", "d"}}) == "2");
  CHECK(detail::reference_count({{"a", "b"}, {"c", "d"}, {"e"}}) == "var");
}

TEST_CASE("Bytes that are not UTF-8 count as replacement characters") {
  CHECK(sentence_bleu("a \xff", {"a \ufffd"}, {.max_ngram_order = 2}).score == Approx(100));
  CHECK(sentence_chrf("\xe5\xa5", {"\ufffd"}).score == Approx(100));
  CHECK(rouge("ab\xffgh", {"ab gh"})[0].fmeasure == 1);
  CHECK(exact_match("\xc3", {"\ufffd"}));
}

}  // namespace
}  // namespace hone::eval
