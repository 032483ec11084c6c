#include "hone/train/controllers/spike.h"

#include <cmath>
#include <limits>

#include "controller_fixture.h"

using namespace hone;
using namespace hone::train;

namespace {

/// Good losses near 2, with spikes at some steps.
std::vector<Event> losses(int64_t steps, const std::map<int64_t, double>& spikes) {
  std::vector<double> values;
  for (int64_t step = 1; step <= steps; ++step) {
    const auto spike = spikes.find(step);
    values.push_back(spike != spikes.end() ? spike->second : 2 + 0.01 * (step % 3));
  }
  return steps_of("loss", values);
}

const SpikeOptions kOptions{.window = 10,
                            .snapshot_every = 8,
                            .trust_after = 3,
                            .recover_after = 12,
                            .max_rollbacks = 2,
                            .within = 20};

}  // namespace

TEST_CASE("A spike goes back to the newest trusted snapshot, cuts the rate, and gives it back") {
  const Desk desk = check_controller(maker<Spike>(kOptions), losses(30, {{14, 5}}));
  // Snapshots: one at the start, after 8 good steps, and 8 after the spike.
  CHECK(desk.on("snapshot") ==
        Decided{"0:\"spike-0\"", "8:\"spike-1\"", "22:\"spike-0\"", "30:\"spike-1\""});
  CHECK(desk.on("rollback") == Decided{"14:\"spike-1\""});
  CHECK(desk.on("lr_scale") == Decided{"14:0.5", "26:1.0"});
  CHECK(desk.on("stop").empty());
  CHECK_THAT(desk.lines[2].rule, Catch::Contains("loss 5 is over 2.11"));
}

TEST_CASE("A snapshot that few good steps have followed is not trusted") {
  const Desk desk = check_controller(maker<Spike>(kOptions), losses(25, {{10, 5}}));
  CHECK(desk.on("rollback") == Decided{"10:\"spike-0\""});
  CHECK(desk.on("snapshot") == Decided{"0:\"spike-0\"", "8:\"spike-1\"", "18:\"spike-1\""});
}

TEST_CASE("Losses that are no numbers are spikes from the first step on") {
  const double inf = std::numeric_limits<double>::infinity();
  const Desk desk =
      check_controller(maker<Spike>(kOptions), losses(20, {{1, std::nan("")}, {3, inf}}));
  CHECK(desk.on("rollback") == Decided{"1:\"spike-0\"", "3:\"spike-0\""});
  CHECK(desk.on("lr_scale") == Decided{"1:0.5", "3:0.25", "15:0.5"});
}

TEST_CASE("Small rises and falls are none, and neither is the first noise") {
  CHECK(check_controller(maker<Spike>(kOptions), losses(40, {{3, 9}, {15, 2.1}, {20, 0.1}}))
            .on("rollback")
            .empty());
}

TEST_CASE("One spike too many within the bound stops the run") {
  const Desk desk =
      check_controller(maker<Spike>(kOptions), losses(31, {{11, 5}, {21, 5}, {29, 5}}));
  CHECK(desk.on("rollback").size() == 3);
  CHECK(desk.on("lr_scale") == Decided{"11:0.5", "21:0.25"});
  CHECK(desk.on("stop") == Decided{"29:true"});
  CHECK_THAT(desk.lines.back().rule, Catch::Contains("2 spikes were undone in the last 20 steps"));
  // The same three further apart.
  CHECK(check_controller(maker<Spike>(kOptions), losses(45, {{11, 5}, {21, 5}, {41, 5}}))
            .on("stop")
            .empty());
}

TEST_CASE("The limits of a spike, to the last bit") {
  // The band of equal losses is 2 with no spread: a spike is over 2.5.
  const SpikeOptions options{.window = 8, .min_rise = 0.5, .snapshot_every = 100, .trust_after = 1};
  const auto rollbacks = [&](std::vector<double> values) {
    return check_controller(maker<Spike>(options), steps_of("loss", values)).on("rollback");
  };
  const double over = std::nextafter(2.5, 3.0);
  CHECK(rollbacks({2, 2, 2, 2, 2.5}).empty());
  CHECK(rollbacks({2, 2, 2, 2, over}) == Decided{"5:\"spike-0\""});
  CHECK(rollbacks({2, 2, 2, over}).empty());  // judged from half the window on
}

TEST_CASE("The band is of the window's losses, and of no older one") {
  // Of {1, 2, 2, 3} the median is 2, of {2, 2, 3, 3} it is 2.5, and of all five it is 2 again.
  const SpikeOptions options{
      .window = 4, .deviations = 1, .min_rise = 1, .snapshot_every = 100, .trust_after = 1};
  const auto rollbacks = [&](std::vector<double> values) {
    return check_controller(maker<Spike>(options), steps_of("loss", values)).on("rollback");
  };
  CHECK(rollbacks({1, 2, 2, 3, 3, 3.5}).empty());
  CHECK(rollbacks({2, 2, 1, 3, 3.01}) == Decided{"5:\"spike-0\""});
}

TEST_CASE(
    "A snapshot is trusted, a rate given back and a rollback forgotten at the step that says") {
  const SpikeOptions options{.window = 4,
                             .snapshot_every = 6,
                             .trust_after = 3,
                             .recover_after = 4,
                             .max_rollbacks = 1,
                             .within = 10};
  const auto spiked = [&](const std::map<int64_t, double>& spikes) {
    return check_controller(maker<Spike>(options), losses(24, spikes));
  };
  CHECK(spiked({{9, 5}}).on("rollback") == Decided{"9:\"spike-0\""});    // two good steps since
  CHECK(spiked({{10, 5}}).on("rollback") == Decided{"10:\"spike-1\""});  // three
  CHECK(spiked({{10, 5}}).on("lr_scale") == Decided{"10:0.5", "14:1.0"});
  CHECK(spiked({{10, 5}, {19, 5}}).on("stop") == Decided{"19:true"});
  CHECK(spiked({{10, 5}, {20, 5}}).on("stop").empty());
}

TEST_CASE("Options of the spike controller that cannot be are refused") {
  const auto problems =
      problems_of(SpikeOptions{.snapshot_every = 4, .trust_after = 5, .factor = 1});
  REQUIRE(problems.size() == 2);
  CHECK(problems[0].message == "must be at most snapshot_every = 4, got 5");
  CHECK(problems[1].path == "/recover_after");
}
