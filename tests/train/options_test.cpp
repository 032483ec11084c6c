#include "hone/train/options.h"

#include <vector>

#include "support/catch.h"

using namespace hone::train;

TEST_CASE("The rate rises over a tenth of the steps, then falls by its rule") {
  // transformers 5.23: get_cosine_schedule_with_warmup(optimizer, 2, 20), lr 1.0, steps 2.. of it;
  // the warm-up begins at lr / w instead of at 0.
  TrainOptions options{.steps = 20, .lr = 1.0};
  CHECK(learning_rate(options, 0) == Approx(0.5));
  CHECK(learning_rate(options, 1) == Approx(1.0));
  CHECK(learning_rate(options, 2) == Approx(1.0));
  CHECK(learning_rate(options, 11) == Approx(0.5));
  CHECK(learning_rate(options, 19) == Approx(0.007596123493895991));

  options.min_lr_ratio = 0.1;
  CHECK(learning_rate(options, 20) == Approx(0.1));
  options.decay = Decay::kLinear;
  CHECK(learning_rate(options, 11) == Approx(0.55));
  options.decay = Decay::kConstant;
  options.min_lr_ratio = 0;
  CHECK(learning_rate(options, 19) == 1.0);
  options.warmup_ratio = 0;
  CHECK(learning_rate(options, 0) == 1.0);
}

TEST_CASE("Keys without effect are refused") {
  std::vector<hone::Problem> problems;
  hone::Validation validation(
      "/train", [](const std::string&) { return true; }, problems);
  TrainOptions{.decay = Decay::kConstant}.validate(validation);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].path == "/train/min_lr_ratio");
  CHECK(problems[0].message == "has no effect with decay constant; remove it");

  problems.clear();
  TrainOptions{.steps = 0}.validate(validation);
  CHECK(problems.size() == 15);
}
