#include "hone/train/progress.h"

#include <cmath>
#include <limits>

#include "hone/train/trainer.h"
#include "support/catch.h"

using namespace hone::train;

TEST_CASE("A progress line comes first, every log_every steps, and last") {
  Progress progress(25, 10, 100);
  int lines = 0;
  for (int64_t step = 1; step <= 25; ++step) {
    const auto line = progress.add({.step = step, .loss = 2.0 * step, .lr = 1e-3}, 100 * step,
                                   100 * step, static_cast<double>(step));
    if (!line) continue;
    ++lines;
    CHECK((step == 1 || step % 10 == 0 || step == 25));
    if (step != 20) continue;
    CHECK(line->find("step 120/125  loss 31.0000  lr 1.00e-03") == 0);
    CHECK(line->find("100 tokens/s  2000 tokens") != std::string::npos);
    CHECK(line->find("left 5s") != std::string::npos);
  }
  CHECK(lines == 4);
  CHECK(progress.recent_loss() == Approx(41.0));
}

TEST_CASE("Skipped steps do not touch the smoothed loss; rows stay JSON") {
  Progress progress(10, 3);
  CHECK(std::isnan(progress.recent_loss()));
  progress.add({.step = 1, .loss = 4}, 1, 1, 1);
  const StepStats bad{.step = 2, .loss = std::numeric_limits<double>::quiet_NaN(), .skipped = true};
  progress.add(bad, 2, 2, 2);
  CHECK(progress.recent_loss() == 4);
  CHECK(
      step_row(bad, 100, 5.0).dump() ==
      R"({"step":102,"loss":null,"lr":0.0,"grad_norm":0.0,"tokens":0,"tokens_per_second":5.0,"skipped":true})");
}

TEST_CASE("Durations and sizes for people") {
  CHECK(format_duration(12.4) == "12s");
  CHECK(format_duration(185) == "3m 05s");
  CHECK(format_duration(3725) == "1h 02m");
  CHECK(format_bytes(12 << 20) == "12 MiB");
  CHECK(format_bytes(int64_t{3} << 29) == "1.5 GiB");
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
