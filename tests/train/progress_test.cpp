#include "hone/train/progress.h"

#include <cmath>
#include <limits>

#include "hone/train/loop.h"
#include "support/catch.h"

using namespace hone::train;

TEST_CASE("A progress line comes first, every log_every steps, and last, at the pace of late") {
  Progress progress(25, 10, 100);
  int lines = 0;
  for (int64_t step = 1; step <= 25; ++step) {
    const double seconds = step <= 10 ? 100.0 : 1.0;  // what was long ago no longer shows
    const auto line =
        progress.add({.step = step, .loss = 2.0 * step, .lr = 1e-3, .tokens = 100}, seconds);
    if (!line) continue;
    ++lines;
    CHECK((step == 1 || step % 10 == 0 || step == 25));
    if (step != 20) continue;
    CHECK(*line == "step 120/125  loss 31.0000  lr 1.0e-03  grad 0  100 tok/s  left 5.0 s");
  }
  CHECK(lines == 4);
  CHECK(progress.recent_loss() == Approx(41.0));
}

TEST_CASE("Skipped steps do not touch the smoothed loss; rows stay JSON") {
  Progress progress(10, 3);
  CHECK(std::isnan(progress.recent_loss()));
  progress.add({.step = 1, .loss = 4}, 1);
  const StepStats bad{
      .step = 2, .loss = std::numeric_limits<double>::quiet_NaN(), .tokens = 30, .skipped = true};
  progress.add(bad, 2);
  CHECK(progress.recent_loss() == 4);
  CHECK(
      step_row(bad, 100, 6.0).dump() ==
      R"({"step":102,"loss":null,"lr":0.0,"grad_norm":0.0,"tokens":30,"tokens_per_second":5.0,"skipped":true})");
}

TEST_CASE("A progress line names its phase and fits 80 columns in the longest of runs") {
  const auto line = [](int64_t steps, double loss, double grad, double seconds, const char* word) {
    Progress progress(steps, 1, 0, word);
    return *progress.add(
        {.step = 1, .loss = loss, .lr = 2.5e-5, .grad_norm = grad, .tokens = 48'912}, seconds);
  };
  CHECK(line(40, 3.5, 0.847, 1, "embeddings") ==
        "embeddings 1/40  loss 3.5000  lr 2.5e-05  grad 0.847  48912 tok/s  left 39.0 s");
  Progress beside(40, 1);
  CHECK(*beside.add({.step = 1, .loss = 3.5, .tokens = 100}, 1, "kl 0.1000") ==
        "step 1/40  loss 3.5000  kl 0.1000  lr 0.0e+00  grad 0  100 tok/s  left 39.0 s");
  CHECK(*beside.add({.step = 2, .loss = 3.5, .tokens = 100}, 1, "multi_token 10.1000") ==
        "step 2/40  loss 3.5000  multi_token 10.1000  lr 0.0e+00  100 tok/s  left 38.0 s");
  for (const int64_t steps : {40, 1234, 12'345, 1'234'567}) {
    for (const double seconds : {0.01, 0.7, 1.0, 60.0}) {
      for (const char* word : {"step", "embeddings"}) {
        const std::string text = line(steps, 10.1234, 12'345, seconds, word);
        INFO(text);
        CHECK(text.size() <= 80);
        CHECK(text.find("  loss 10.1234") != std::string::npos);
        CHECK(text.find("  left ") != std::string::npos);
      }
    }
  }
}

TEST_CASE("An evaluation of many domains is told on lines of 80 columns") {
  Evaluation evaluation{.step = 200};
  for (const char* domain : {"medicine", "law", "general", "programming", "mathematics", "news"}) {
    evaluation.scores.push_back({domain, domain, 10, 10, 30});
  }
  CHECK(describe(evaluation) ==
        "step 200: held-out perplexity  medicine 20.086  law 20.086  general 20.086\n"
        "    programming 20.086  mathematics 20.086  news 20.086");
}

TEST_CASE("Scores join by domain and survive JSON") {
  const std::vector<Score> scores = {
      {"a", "law", 10, 20, 30.5}, {"b", "general", 4, 4, 8.25}, {"c", "law", 5, 10, 1.0 / 3}};
  const auto domains = by_domain(scores);
  REQUIRE(domains.size() == 2);
  CHECK(domains[0].domain == "law");
  CHECK(domains[0].base_tokens == 30);
  CHECK(domains[0].perplexity() == Approx(std::exp((30.5 + 1.0 / 3) / 30)));
  CHECK(std::isnan(Score{}.perplexity()));

  const auto back = scores_from_json(hone::parse_json(scores_json(scores).dump(), "scores"));
  REQUIRE(back.size() == 3);
  CHECK(back[2].nll == scores[2].nll);
  CHECK(back[0].name == "a");
  CHECK(back[0].tokens == 10);
}
