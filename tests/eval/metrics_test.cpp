// Values worked out by hand, and every error. tests/interop/text_metrics.py compares at large.
#include <catch2/catch.hpp>
#include <cmath>

#include "hone/core/error.h"
#include "hone/eval/detail/lcs.h"
#include "hone/eval/detail/mt_tokenizer.h"
#include "hone/eval/detail/ngrams.h"
#include "hone/eval/detail/porter_stemmer.h"
#include "hone/eval/detail/ter_edits.h"
#include "hone/eval/metrics/bleu.h"
#include "hone/eval/metrics/chrf.h"
#include "hone/eval/metrics/exact_match.h"
#include "hone/eval/metrics/rouge.h"
#include "hone/eval/metrics/ter.h"
#include "hone/unicode/python_text.h"

namespace hone::eval {
namespace {

using Values = std::vector<double>;

template <class Call>
std::string failure(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// What validate() finds, one "<path>: <message>" a line.
template <class Options>
std::string problems(const Options& options, const std::string& set = "") {
  std::vector<Problem> found;
  Validation validation("", [&](const std::string& path) { return path == set; }, found);
  options.validate(validation);
  std::string text;
  for (const Problem& problem : found) text += problem.path + ": " + problem.message + "\n";
  return text;
}

std::string joined(const std::string& text, eval::BleuTokenizer tokenizer) {
  const std::string tokens = hone::eval::detail::mt_tokenize(text, tokenizer);
  std::string out;
  for (const std::string_view token : unicode::python_split(tokens)) {
    out += (out.empty() ? "" : "|") + std::string(token);
  }
  return out;
}

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

TEST_CASE("BLEU tokenizers") {
  CHECK(joined("Hi, \"1,000.5\" &amp; 5-6 a.b. x-\ny<skipped>z", eval::BleuTokenizer::k13a) ==
        "Hi|,|\"|1,000.5|\"|&|5|-|6|a|.|b|.|xyz");
  // Where a text begins or ends, mteval-v14 leaves a mark with the number beside it.
  CHECK(joined("“1,5”, x²€ «3» (½)", BleuTokenizer::kIntl) == "“1,5|”|,|x²|€|«|3|»|(|½)");
  CHECK(joined("aé 好", BleuTokenizer::kChar) == "a|é|好");
  // The range that is written for rare ideographs holds dashes and quotes instead (2001..2A6D).
  CHECK(joined("中文abc—d.𠀀𠀁", BleuTokenizer::kZh) == "中|文|abc|—|d|.|𠀀𠀁");
  CHECK(joined("a,b\u00a0c\x1f d", eval::BleuTokenizer::kNone) == "a,b|c|d");
}

TEST_CASE("BLEU refuses what it cannot score") {
  CHECK(failure([] { eval::corpus_bleu({}, {}); }) == "BLEU: there is no hypothesis to score");
  CHECK(failure([] { eval::corpus_bleu({"a", "b"}, {{"a"}}); }) ==
        "BLEU: expected a list of references for each of 2 hypotheses, got 1");
  CHECK(failure([] { eval::corpus_bleu({"a", "b"}, {{"a"}, {}}); }) ==
        "BLEU: segment 1 (from 0) has no reference");
  CHECK(failure([] { eval::sentence_bleu("a", {"a"}, {.max_ngram_order = 0}); }) ==
        "BLEU: max_ngram_order must lie between 1 and 100, got 0");
  CHECK(failure([] { eval::sentence_bleu("a", {"a"}, {.smooth_value = -1}); }) ==
        "BLEU: smooth_value must not be negative, got -1.000000");
  const std::string tail =
      ", which hone does not read; use char, or score the generated texts with sacrebleu itself";
  const auto unavailable = [](eval::BleuTokenizer tokenize) {
    return failure([&] { eval::sentence_bleu("a", {"a"}, {.tokenize = tokenize}); });
  };
  CHECK(unavailable(eval::BleuTokenizer::kJaMecab) ==
        "BLEU: tokenizer ja-mecab needs MeCab and its IPA dictionary" + tail);
  CHECK(unavailable(eval::BleuTokenizer::kKoMecab) ==
        "BLEU: tokenizer ko-mecab needs MeCab-ko and its dictionary" + tail);
  for (const auto tokenize : {eval::BleuTokenizer::kSpm, eval::BleuTokenizer::kFlores101,
                              eval::BleuTokenizer::kFlores200, eval::BleuTokenizer::kSpBleu1k}) {
    CHECK(unavailable(tokenize) == "BLEU: tokenizer " + enum_name(tokenize) +
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
        "chrF: char_order must lie between 1 and 100, got 0");
  CHECK(failure([] { sentence_chrf("a", {"a"}, {.word_order = -1}); }) ==
        "chrF: word_order must lie between 0 and 100, got -1");
  CHECK(failure([] { sentence_chrf("a", {"a"}, {.beta = 101}); }) ==
        "chrF: beta must lie between 0 and 100, got 101");
}

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

TEST_CASE("TER's tokenizer") {
  const auto tokens = [](const std::string& text, const TerOptions& options) {
    return unicode::squeeze_spaces(detail::ter_tokenize(text, options));
  };
  CHECK(tokens("(a's b), 1,5.", {.normalized = true}) == "( a 's b ) , 1,5 .");
  CHECK(tokens("x\n-y &quot;", {.normalized = true}) == "xy \"");
  CHECK(tokens("中a、かな", {.normalized = true, .asian_support = true}) == "中 a 、 かな");
  CHECK(tokens("(a), b。", {.no_punct = true}) == "a b。");
  CHECK(tokens("(a), b。", {.no_punct = true, .asian_support = true}) == "a b");
  CHECK(problems(TerOptions{.asian_support = true}, "/asian_support") ==
        "/asian_support: has no effect without normalized or no_punct; remove it\n");
  CHECK(problems(TerOptions{.no_punct = true, .asian_support = true}, "/asian_support") == "");
}

TEST_CASE("TER refuses what it cannot score") {
  CHECK(failure([] { corpus_ter({}, {}); }) == "TER: there is no hypothesis to score");
  CHECK(failure([] { sentence_ter("a", {}); }) == "TER: segment 0 (from 0) has no reference");
  const std::vector<uint32_t> many(20'000, 1);
  CHECK(failure([&] { detail::ter_edits(many, many); }) ==
        "TER of 20000 words against 20000 needs more than 1 GiB; split the texts into segments");
}

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

TEST_CASE("Bytes that are not UTF-8 count as replacement characters") {
  CHECK(sentence_bleu("a \xff", {"a \ufffd"}, {.max_ngram_order = 2}).score == Approx(100));
  CHECK(sentence_chrf("\xe5\xa5", {"\ufffd"}).score == Approx(100));
  CHECK(rouge("ab\xffgh", {"ab gh"})[0].fmeasure == 1);
  CHECK(exact_match("\xc3", {"\ufffd"}));
}

TEST_CASE("Lower case as Python has it") {
  CHECK(unicode::python_lower("ΌΣΟΣ ΣΑΣ. Σ AΣ'b Σ\u0301") == "όσος σας. σ aσ'b σ\u0301");
  CHECK(unicode::python_lower("İK") == "i\u0307k");
  CHECK(unicode::python_strip("\u3000\x1c x \u2028") == "x");
  CHECK(unicode::python_strip(" \n") == "");
}

TEST_CASE("Stems of nltk's Porter stemmer") {
  const std::pair<const char*, const char*> table[] = {
      {"dies", "die"},       {"flies", "fli"},          {"died", "die"},
      {"spied", "spi"},      {"agreed", "agre"},        {"feed", "feed"},
      {"hopping", "hop"},    {"falling", "fall"},       {"filing", "file"},
      {"enjoy", "enjoy"},    {"happy", "happi"},        {"by", "by"},
      {"skies", "sky"},      {"radically", "radic"},    {"geology", "geolog"},
      {"adoption", "adopt"}, {"replacement", "replac"}, {"controlling", "control"},
      {"oed", "o"},          {"yyyy", "yyyi"}};
  for (const auto& [word, stem] : table) CHECK(hone::eval::detail::porter_stem(word) == stem);
}

TEST_CASE("Longest common subsequences over more than one word of bits equal the plain table") {
  uint32_t state = 1;
  const auto random = [&state](uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
  };
  for (int round = 0; round < 60; ++round) {
    std::vector<uint32_t> a(random(200)), b(random(200));
    for (auto* list : {&a, &b}) {
      for (uint32_t& symbol : *list) symbol = random(2 + static_cast<uint32_t>(round) % 7);
    }
    std::vector<std::vector<size_t>> table(a.size() + 1, std::vector<size_t>(b.size() + 1));
    for (size_t i = 1; i <= a.size(); ++i) {
      for (size_t j = 1; j <= b.size(); ++j) {
        table[i][j] = a[i - 1] == b[j - 1] ? table[i - 1][j - 1] + 1
                                           : std::max(table[i - 1][j], table[i][j - 1]);
      }
    }
    std::vector<size_t> places;
    for (size_t i = a.size(), j = b.size(); i > 0 && j > 0;) {
      if (a[i - 1] == b[j - 1]) {
        places.insert(places.begin(), --i);
        --j;
      } else if (table[i][j - 1] > table[i - 1][j]) {
        --j;
      } else {
        --i;
      }
    }
    CHECK(detail::lcs_length(a, b) == table[a.size()][b.size()]);
    CHECK(detail::lcs_places(a, b) == places);
  }
}

TEST_CASE("A subsequence's table has a limit") {
  const std::vector<uint32_t> many(1 << 17, 1);
  CHECK(failure([&] { detail::lcs_places(many, many); }) ==
        "a longest common subsequence of sentences of 131072 and 131072 words needs more than 1 "
        "GiB; put a line break between sentences");
  CHECK(detail::lcs_length(std::vector<uint32_t>(1000, 1), many) == 1000);
}

}  // namespace
}  // namespace hone::eval
