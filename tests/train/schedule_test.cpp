#include "hone/train/schedule.h"

#include <cmath>
#include <numbers>

#include "hone/train/options.h"
#include "support/catch.h"

using namespace hone::train;

TEST_CASE("The first schedules give the very bits of their formulas") {
  const TrainOptions options{.steps = 997, .lr = 3e-4, .min_lr_ratio = 0.07, .warmup_ratio = 0.03};
  TrainOptions linear = options, constant = options;
  linear.decay = Decay::kLinear;
  constant.decay = Decay::kConstant;
  for (int64_t step = 0; step < 997; ++step) {
    const double rise = 3e-4 * static_cast<double>(step + 1) / 30.0;
    const double done = static_cast<double>(step - 30) / 967.0;
    const double cosine =
        3e-4 * (0.07 + (1 - 0.07) * 0.5 * (1 + std::cos(std::numbers::pi * done)));
    REQUIRE(learning_rate(options, step) == (step < 30 ? rise : cosine));
    REQUIRE(learning_rate(linear, step) ==
            (step < 30 ? rise : 3e-4 * (0.07 + (1 - 0.07) * (1 - done))));
    REQUIRE(learning_rate(constant, step) == (step < 30 ? rise : 3e-4));
  }
}

TEST_CASE("Restarts begin at a peak that decays, never below the floor") {
  TrainOptions options{.steps = 100,
                       .lr = 1,
                       .min_lr_ratio = 0.2,
                       .decay = Decay::kCosineRestarts,
                       .warmup_ratio = 0.1,
                       .restarts = {.t_0 = 10, .t_mult = 2, .peak_decay = 0.5}};
  CHECK(learning_rate(options, 9) == 1);
  CHECK(learning_rate(options, 10) == 1);
  CHECK(learning_rate(options, 15) == Approx(0.6));
  CHECK(learning_rate(options, 20) == Approx(0.5));   // 10 + 10
  CHECK(learning_rate(options, 40) == Approx(0.25));  // 20 + 20
  CHECK(learning_rate(options, 80) == Approx(0.2));   // 40 + 40: an eighth would be under the floor
  options.restarts = {.t_mult = 2};                   // a third of the 90 steps, then the other two
  CHECK(learning_rate(options, 39) < 0.21);
  CHECK(learning_rate(options, 40) == 1);
  CHECK(learning_rate(options, 99) < 0.21);
}

TEST_CASE("One cycle rises from a fraction of the peak and ends far under it") {
  TrainOptions options{.steps = 100,
                       .lr = 1,
                       .decay = Decay::kOneCycle,
                       .one_cycle = {.pct_start = 0.3, .div_factor = 10, .final_div_factor = 100}};
  CHECK(learning_rate(options, 0) == Approx(0.1));
  CHECK(learning_rate(options, 29) == Approx(1));
  CHECK(learning_rate(options, 99) == Approx(0.001));
  options.one_cycle.three_phase = true;
  CHECK(learning_rate(options, 58) == Approx(0.1));
  options.one_cycle = {.pct_start = 0.01};  // a rise of one step
  CHECK(learning_rate(options, 0) == 1);
  options.one_cycle = {.pct_start = 0};
  options.steps = 1;
  CHECK(learning_rate(options, 0) <= 1);
}

TEST_CASE("WSD holds the peak until its share of the end") {
  TrainOptions options{.steps = 100, .lr = 1, .min_lr_ratio = 0.1, .decay = Decay::kWsd};
  CHECK(learning_rate(options, 9) == 1);
  CHECK(learning_rate(options, 80) == 1);
  CHECK(learning_rate(options, 85) == Approx(0.1 + 0.9 * 0.5));
  options.wsd.form = WsdForm::kLinear;
  CHECK(learning_rate(options, 85) == Approx(0.1 + 0.9 * 0.75));
  options.wsd.form = WsdForm::kCosine;
  CHECK(learning_rate(options, 90) == Approx(0.1 + 0.9 * 0.5));
  CHECK(learning_rate(options, 100) == Approx(0.1));
  options.wsd.decay_share = 0;
  CHECK(learning_rate(options, 99) == 1);
}
