#include "hone/run/guard.h"

#include <cmath>

#include "support/catch.h"

using namespace hone::run;
using hone::train::Score;

namespace {

std::vector<Score> scores(double general, double law) {
  return {{"g", "general", 10, 10, 10 * std::log(general)},
          {"l", "law", 10, 10, 10 * std::log(law)}};
}

}  // namespace

TEST_CASE("The guard compares its domain with the base") {
  hone::run::Guard guard({.domain = "general", .max_ratio = 1.1});
  CHECK(guard.judge(scores(50, 1)));
  guard.set_reference(scores(20, 30));
  CHECK(guard.judge(scores(21.9, 300)));
  CHECK(*guard.ratio() == Approx(1.095));
  CHECK_FALSE(guard.judge(scores(22.1, 3)));
  CHECK_FALSE(guard.judge(scores(std::nan(""), 3)));
  guard.judge(scores(21, 3));

  hone::run::Guard other({.domain = "general"});
  other.load(hone::parse_json(guard.save().dump(), "state"));
  CHECK(*other.ratio() == *guard.ratio());
  CHECK_FALSE(other.judge(scores(22.1, 3)));
}

TEST_CASE("What growth did is no fault of training until an evaluation was within the limit") {
  hone::run::Guard guard({.domain = "general", .max_ratio = 1.1});
  guard.set_reference(scores(20, 30));
  guard.begin(scores(30, 30));
  CHECK(guard.limit() == Approx(1.5));
  CHECK(guard.judge(scores(29, 30)));
  CHECK_FALSE(guard.held());
  hone::run::Guard resumed({.domain = "general", .max_ratio = 1.1});
  resumed.load(hone::parse_json(guard.save().dump(), "state"));
  for (hone::run::Guard* each : {&guard, &resumed}) {
    CHECK_FALSE(hone::run::Guard(*each).judge(scores(31, 30)));  // worse than growth left it
    CHECK(each->judge(scores(21, 30)));
    CHECK(each->held());
    CHECK_FALSE(each->judge(scores(23, 30)));  // from here on max_ratio counts
  }
}

TEST_CASE("The state of an older guard judges as that did") {
  hone::run::Guard guard({.domain = "general", .max_ratio = 1.1});
  guard.load({{"reference", 20.0}, {"ratio", nullptr}});
  CHECK(guard.judge(scores(21, 30)));
  CHECK_FALSE(guard.judge(scores(23, 30)));
}

TEST_CASE("The guarded share rises faster the longer the limit is not held, and falls back") {
  hone::run::Guard guard(
      {.domain = "general", .max_ratio = 1.1, .action = hone::run::GuardAction::kRebalance});
  guard.set_reference(scores(20, 30));
  guard.begin(scores(20, 30));
  const auto share_after = [&](double perplexity, double share) {
    guard.judge(scores(perplexity, 30));
    hone::run::Guard resumed(
        {.domain = "general", .max_ratio = 1.1, .action = hone::run::GuardAction::kRebalance});
    resumed.load(hone::parse_json(guard.save().dump(), "state"));
    const auto next = guard.next_share(share);
    CHECK(resumed.next_share(share) == next);
    return next.value_or(share);
  };
  CHECK(share_after(20.5, 0.02) == 0.02);             // two such steps are within
  CHECK(share_after(21.4, 0.02) == Approx(0.04));     // within, and the next would not be
  const double past = std::log(1.2) / std::log(1.1);  // limits that 24 is
  CHECK(share_after(24, 0.04) == Approx(0.04 * std::pow(2, past)));
  CHECK(share_after(22.5, 0.1) == Approx(0.4));  // hardly past it, but again
  CHECK(share_after(22.2, 0.1) == Approx(0.8));  // and again
  CHECK(share_after(30, 0.32) == Approx(0.95));  // others keep their part
  CHECK(share_after(21.9, 0.95) == 0.95);        // within, and falling
  CHECK(share_after(20.5, 0.95) == Approx(0.95 / std::sqrt(2.0)));
  CHECK(share_after(20, 0.025) == Approx(0.02));  // never under what it was at first
  CHECK(share_after(20, 0.02) == 0.02);
  CHECK(share_after(30, 0) == 0);  // nothing to multiply
}

TEST_CASE("The guard's limits, to the last bit") {
  // The reference is exp(0) = 1, so that a ratio is the perplexity itself.
  const double limit = std::exp(0.25);
  const auto at_ratio = [](double log_ratio) {
    return std::vector<Score>{{"g", "general", 1, 1, log_ratio}};
  };
  const auto guard_with = [&](double max_ratio) {
    hone::run::Guard guard({.domain = "general",
                            .max_ratio = max_ratio,
                            .action = hone::run::GuardAction::kRebalance,
                            .rebalance_factor = 4});
    guard.set_reference(at_ratio(0));
    return guard;
  };
  {
    hone::run::Guard on = guard_with(limit), past = guard_with(std::nextafter(limit, 1.0));
    CHECK(on.judge(at_ratio(0.25)));
    CHECK(on.held());
    CHECK_FALSE(past.judge(at_ratio(0.25)));
    CHECK_FALSE(past.held());
  }
  {  // Growth that ends on the limit has not broken it.
    hone::run::Guard on = guard_with(limit), past = guard_with(limit);
    on.begin(at_ratio(0.25));
    CHECK(on.limit() == limit);
    past.begin(at_ratio(0.5));
    CHECK(past.limit() == std::exp(0.5));
    CHECK(past.judge(at_ratio(0.5)));  // no worse than growth left it
    CHECK(past.judge(at_ratio(0.25)));
    CHECK(past.limit() == limit);
  }
  {  // On the limit now and next: the share stays.
    hone::run::Guard on = guard_with(limit);
    on.judge(at_ratio(0.25));
    on.judge(at_ratio(0.25));
    CHECK(on.next_share(0.125) == std::nullopt);
  }
  {  // Within half of it, to the bit: back by the factor's root. log(4) / 2 == log(2).
    hone::run::Guard half = guard_with(4);
    REQUIRE(std::exp(std::log(2.0)) == 2);
    half.judge(at_ratio(std::log(2.0)));
    half.judge(at_ratio(std::log(2.0)));
    CHECK(half.next_share(0.125) == std::nullopt);  // what it was at first
    CHECK(half.next_share(0.5) == 0.25);
    CHECK(half.next_share(0.1875) == 0.125);
  }
}

TEST_CASE("New weights give the guarded domain's sets the share wanted, and keep their ratio") {
  // Shares of equally large sets are their weights'.
  const std::vector<std::string> domains = {"general", "law", "general"};
  const auto weights = hone::run::with_share({1, 6, 3}, "general", domains, 0.4, 0.8);
  CHECK(weights[1] == 6);
  CHECK(weights[2] == Approx(3 * weights[0]));
  CHECK((weights[0] + weights[2]) / (weights[0] + weights[2] + 6) == Approx(0.8));
  CHECK(hone::run::share_of("general", {0.1, 0.6, 0.3}, domains) == Approx(0.4));
}

TEST_CASE("Without a guarded domain nothing is judged") {
  hone::run::Guard guard{hone::run::GuardOptions{}};
  guard.set_reference(scores(1, 1));
  guard.begin(scores(9, 9));
  CHECK(guard.judge(scores(99, 99)));
  CHECK_FALSE(guard.ratio());
  CHECK_FALSE(guard.held());
}
