// Values worked out by hand, and every error. tests/interop/text_metrics.py compares at large.
#include "hone/eval/metrics/ter.h"

#include <catch2/catch.hpp>

#include "failures.h"
#include "hone/eval/detail/ter_edits.h"

namespace hone::eval {
namespace {

TEST_CASE("TER counts words replaced, and stretches moved as one edit") {
  const TerScore score = sentence_ter("c d a b x", {"A b c d y"});
  CHECK(score.num_edits == 2);  // "c d" moved, x replaced
  CHECK(score.ref_length == 5);
  CHECK(score.score == Approx(40));
  CHECK(score.signature == "nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:2.6.0");
  CHECK(sentence_ter("A", {"a"}, {.case_sensitive = true}).num_edits == 1);
  CHECK(sentence_ter("a b", {"a", "a b c d"}).ref_length == 2.5);
  CHECK(sentence_ter("a b", {""}).score == 100);
  CHECK(sentence_ter("", {""}).score == 0);
  CHECK(sentence_ter("", {"a b"}).num_edits == 2);
  CHECK(sentence_ter("a b c", {"c a b"}).num_edits == 1);
  CHECK(corpus_ter({"a", "b"}, {{"a"}, {"c"}}).score == 50);
}

TEST_CASE("TER refuses what it cannot score") {
  CHECK(failure([] { corpus_ter({}, {}); }) == "TER: there is no hypothesis to score");
  CHECK(failure([] { sentence_ter("a", {}); }) == "TER: segment 0 (from 0) has no reference");
  const std::vector<uint32_t> many(20'000, 1);
  CHECK(failure([&] { detail::ter_edits(many, many); }) ==
        "TER of 20000 words against 20000 needs more than 1 GiB; split the texts into segments");
}

}  // namespace
}  // namespace hone::eval
