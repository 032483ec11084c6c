#include "hone/eval/objective_score.h"

#include <catch2/catch.hpp>
#include <cmath>

namespace hone::eval {
namespace {

TEST_CASE("A mean comes with the standard error of its rows") {
  const Measurement mean = mean_of({1, 0, 0, 1, 1});
  CHECK(mean.value == Approx(0.6));
  CHECK(*mean.standard_error == Approx(std::sqrt(0.3 / 5)));
  CHECK_FALSE(mean_of({1}).standard_error);
}

TEST_CASE("Text metrics come with a standard error, by rows or by the jackknife") {
  const Hypotheses texts = {"the cat sat on the mat", "a dog", "four birds sing a song now",
                            "nothing of it here at all"};
  const References right = {{"the cat sat on the mat"},
                            {"a dog"},
                            {"four birds sing songs"},
                            {"another line that differs much"}};
  const Measurement exact = text_score({.metric = Metric::kExactMatch}, texts, right);
  CHECK(exact.value == 0.5);
  CHECK(*exact.standard_error == Approx(std::sqrt(0.25 / 3)));
  for (const Metric metric : {Metric::kBleu, Metric::kChrf, Metric::kRougeL, Metric::kTokenF1}) {
    const Measurement score = text_score({.metric = metric}, texts, right);
    INFO(enum_name(metric));
    REQUIRE(score.standard_error);
    CHECK(*score.standard_error > 0.05 * score.value);
    CHECK(*score.standard_error < score.value);
  }
  // Of equal rows chance has nothing to choose from.
  CHECK(*text_score({.metric = Metric::kBleu}, {texts[0], texts[0]}, {right[0], right[0]})
             .standard_error == 0);
  CHECK_FALSE(text_score({.metric = Metric::kBleu}, {texts[0]}, {right[0]}).standard_error);
}

TEST_CASE("BLEU and chrF have the jackknife's error, over at most twenty groups of rows") {
  // Without one row in turn: chrF of what is left.
  const Hypotheses texts = {"ab", "cd", "ef"};
  const References right = {{"ab"}, {"cx"}, {"yz"}};
  const ObjectiveOptions chrf{.metric = Metric::kChrf};
  std::vector<double> without;
  for (size_t out = 0; out < 3; ++out) {
    Hypotheses some;
    References their;
    for (size_t i = 0; i < 3; ++i) {
      if (i == out) continue;
      some.push_back(texts[i]);
      their.push_back(right[i]);
    }
    without.push_back(corpus_chrf(some, their).score);
  }
  const double mean = (without[0] + without[1] + without[2]) / 3;
  double squares = 0;
  for (const double value : without) squares += (value - mean) * (value - mean);
  CHECK(*text_score(chrf, texts, right).standard_error == Approx(std::sqrt(squares * 2 / 3)));

  // Twenty rows repeated: each group loses all of its row, so that the error stays.
  Hypotheses many, twice;
  References of_many, of_twice;
  for (int i = 0; i < 20; ++i) {
    many.push_back(i % 3 == 0 ? "right " + std::to_string(i) : "wrong");
    of_many.push_back({"right " + std::to_string(i)});
  }
  for (int pass = 0; pass < 2; ++pass) {
    twice.insert(twice.end(), many.begin(), many.end());
    of_twice.insert(of_twice.end(), of_many.begin(), of_many.end());
  }
  CHECK(*text_score(chrf, twice, of_twice).standard_error ==
        Approx(*text_score(chrf, many, of_many).standard_error));
}

TEST_CASE("Each metric scores what it is named for") {
  const Hypotheses texts = {"the cats sat\ndown here"};
  const References right = {{"a cat sat\nhere down"}};
  const auto value = [&](Metric metric, bool stemmer = false) {
    return text_score({.metric = metric, .rouge_stemmer = stemmer}, texts, right).value;
  };
  CHECK(value(Metric::kExactMatch) == 0);
  CHECK(value(Metric::kTokenF1) == Approx(3 / 4.0));  // "the" and "a" are articles
  CHECK(value(Metric::kRouge1) == Approx(3 / 5.0));
  CHECK(value(Metric::kRouge1, true) == Approx(4 / 5.0));
  CHECK(value(Metric::kRouge2) == 0);
  CHECK(value(Metric::kRougeL) == Approx(2 / 5.0));
  CHECK(value(Metric::kRougeLsum) == Approx(2 / 5.0));
  CHECK(value(Metric::kBleu) == Approx(corpus_bleu(texts, right).score));
  CHECK(value(Metric::kChrf) == Approx(corpus_chrf(texts, right).score));
}

}  // namespace
}  // namespace hone::eval
