// Values worked out by hand, and every error. tests/interop/text_metrics.py compares at large.
#include "hone/eval/metrics/bleu.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "failures.h"

namespace hone::eval {
namespace {

using Values = std::vector<double>;

TEST_CASE("BLEU of a corpus: counts are summed before they are divided") {
  // 6 tokens against 7 and 2 against 2. Matches of 1, 2, 3, 4: 5+2, 3+1, 1, 0.
  const eval::Hypotheses hypotheses{"the cat sat on a mat", "good dog"};
  const eval::References references{{"the cat sat on the old mat"}, {"good dog"}};
  const eval::BleuScore score = eval::corpus_bleu(hypotheses, references);
  CHECK(score.counts == Values{7, 4, 2, 1});
  CHECK(score.totals == Values{8, 6, 4, 3});
  CHECK(score.sys_len == 8);
  CHECK(score.ref_len == 9);
  CHECK(score.bp == Approx(std::exp(1 - 9.0 / 8)).epsilon(1e-15));
  CHECK(score.precisions[2] == 50.0);
  CHECK(score.score ==
        Approx(100 * score.bp * std::pow(7.0 / 8 * 4 / 6 * 2 / 4 * 1 / 3, 0.25)).epsilon(1e-12));
  CHECK(score.signature == "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0");
}

TEST_CASE("BLEU clips an n-gram at its most frequent reference and takes the nearest length") {
  const eval::BleuScore score =
      eval::sentence_bleu("a a a a", {"a b", "a a c d e", "c d e f g h"}, {.max_ngram_order = 1});
  CHECK(score.counts == Values{2});
  CHECK(score.ref_len == 5);
  CHECK(eval::sentence_bleu("a b c", {"a b c d", "a b"}).ref_len ==
        2);  // the shorter of two as near
}

TEST_CASE("BLEU smoothing") {
  const auto score = [](eval::BleuSmoothing method, std::optional<double> value = {},
                        bool eff = false) {
    return eval::sentence_bleu(
        "a b c x", {"a b y c"},
        {.smooth_method = method, .smooth_value = value, .effective_order = eff});
  };  // matches 3/4, 1/3, 0/2, 0/1
  CHECK(score(eval::BleuSmoothing::kNone).precisions == Values{75, 100.0 / 3, 0, 0});
  CHECK(score(eval::BleuSmoothing::kNone).score == 0);
  CHECK(score(eval::BleuSmoothing::kExp).precisions == Values{75, 100.0 / 3, 25, 25});
  CHECK(score(eval::BleuSmoothing::kFloor).precisions[2] == Approx(5));
  CHECK(score(eval::BleuSmoothing::kFloor, 0.5).precisions[3] == Approx(50));
  CHECK(score(eval::BleuSmoothing::kAddK).precisions == Values{75, 50, 100.0 / 3, 50});
  CHECK(score(eval::BleuSmoothing::kAddK, 2).counts == Values{3, 3, 2, 2});
  CHECK(eval::sentence_bleu("a b", {"a b"}).score == 0);
  CHECK(eval::sentence_bleu("a b", {"a b"}, {.effective_order = true}).score == Approx(100));
  CHECK(eval::sentence_bleu("", {"a b"}).bp == 0);
  CHECK(eval::sentence_bleu("", {""}).score == 0);
}

TEST_CASE("BLEU signatures") {
  const eval::BleuOptions options{.tokenize = eval::BleuTokenizer::kIntl,
                                  .smooth_method = eval::BleuSmoothing::kFloor,
                                  .effective_order = true,
                                  .lowercase = true};
  CHECK(corpus_bleu({"a", "b"}, {{"a"}, {"b", "c"}}, options).signature ==
        "nrefs:var|case:lc|eff:yes|tok:intl|smooth:floor[0.10]|version:2.6.0");
  CHECK(sentence_bleu("A", {"a"}, options).score == Approx(100));
}

TEST_CASE("BLEU refuses what it cannot score") {
  CHECK(failure([] { eval::corpus_bleu({}, {}); }) == "BLEU: there is no hypothesis to score");
  CHECK(failure([] { eval::corpus_bleu({"a", "b"}, {{"a"}}); }) ==
        "BLEU: expected a list of references for each of 2 hypotheses, got 1");
  CHECK(failure([] { eval::corpus_bleu({"a", "b"}, {{"a"}, {}}); }) ==
        "BLEU: segment 1 (from 0) has no reference");
  CHECK(failure([] { eval::sentence_bleu("a", {"a"}, {.max_ngram_order = 0}); }) ==
        "BLEU/max_ngram_order: must be in [1, 100], got 0");
  CHECK(failure([] { eval::sentence_bleu("a", {"a"}, {.smooth_value = -1}); }) ==
        "BLEU/smooth_value: must be in [0, 1000000], got -1");
  const std::string tail =
      ", which hone does not read; use char, or score the generated texts with sacrebleu itself";
  const auto unavailable = [](eval::BleuTokenizer tokenize) {
    return failure([&] { eval::sentence_bleu("a", {"a"}, {.tokenize = tokenize}); });
  };
  CHECK(unavailable(eval::BleuTokenizer::kJaMecab) ==
        "BLEU/tokenize: tokenizer ja-mecab needs MeCab and its IPA dictionary" + tail);
  CHECK(unavailable(eval::BleuTokenizer::kKoMecab) ==
        "BLEU/tokenize: tokenizer ko-mecab needs MeCab-ko and its dictionary" + tail);
  for (const auto tokenize : {eval::BleuTokenizer::kSpm, eval::BleuTokenizer::kFlores101,
                              eval::BleuTokenizer::kFlores200, eval::BleuTokenizer::kSpBleu1k}) {
    CHECK(unavailable(tokenize) == "BLEU/tokenize: tokenizer " + enum_name(tokenize) +
                                       " needs a SentencePiece model that sacrebleu downloads" +
                                       tail);
  }
  CHECK(problems(BleuOptions{.tokenize = BleuTokenizer::kJaMecab}) ==
        "/tokenize: tokenizer ja-mecab needs MeCab and its IPA dictionary" + tail + "\n");
  CHECK(problems(BleuOptions{.smooth_value = 1}, "/smooth_value") ==
        "/smooth_value: has no effect with smooth_method exp; remove it\n");
  CHECK(problems(BleuOptions{.smooth_method = BleuSmoothing::kFloor, .smooth_value = 1},
                 "/smooth_value") == "");
}

}  // namespace
}  // namespace hone::eval
