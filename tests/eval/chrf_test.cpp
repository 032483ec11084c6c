// Values worked out by hand, and every error. tests/interop/text_metrics.py compares at large.
#include "hone/eval/metrics/chrf.h"

#include <catch2/catch.hpp>

#include "failures.h"

namespace hone::eval {
namespace {

TEST_CASE("chrF and chrF++") {
  // Order 1: 2 of 2 and of 3; order 2: 1 of 1 and of 2. Precision 1, recall (2/3 + 1/2) / 2.
  const double recall = 7.0 / 12;
  const ChrfScore score = sentence_chrf("a b", {"ab c"}, {.char_order = 2});
  CHECK(score.score == Approx(100 * 5 * recall / (4 + recall)).epsilon(1e-12));
  CHECK(score.name == "chrF2");
  CHECK(score.signature == "nrefs:1|case:mixed|eff:yes|nc:2|nw:0|space:no|version:2.6.0");
  // Characters match as "hi!", words as "hi" and "!".
  const ChrfScore plus = sentence_chrf("hi!", {"hi !"}, {.word_order = 2, .beta = 3});
  CHECK(plus.score == Approx(100));
  CHECK(plus.name == "chrF3++");
  CHECK(sentence_chrf("hi!", {"hi !"}, {.whitespace = true}).score < 100);
  CHECK(sentence_chrf("ÀB", {"xx", "àb"}, {.lowercase = true}).score == Approx(100));
  CHECK(sentence_chrf("ab", {"ab"}, {.eps_smoothing = true}).score == Approx(100 * 2.0 / 6));
  CHECK(sentence_chrf("", {"a"}).score == 0);
  CHECK(failure([] { corpus_chrf({}, {}); }) == "chrF: there is no hypothesis to score");
  CHECK(failure([] { sentence_chrf("a", {}); }) == "chrF: segment 0 (from 0) has no reference");
  CHECK(failure([] { sentence_chrf("a", {"a"}, {.char_order = 0}); }) ==
        "chrF/char_order: must be in [1, 100], got 0");
  CHECK(failure([] { sentence_chrf("a", {"a"}, {.word_order = -1}); }) ==
        "chrF/word_order: must be in [0, 100], got -1");
  CHECK(failure([] { sentence_chrf("a", {"a"}, {.beta = 101}); }) ==
        "chrF/beta: must be in [0, 100], got 101");
}

}  // namespace
}  // namespace hone::eval
