#include "hone/train/options.h"

#include <string>
#include <vector>

#include "hone/config/reader.h"
#include "hone/config/writer.h"
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

namespace {

/// The problems of `options` as if the user had given every key.
std::vector<hone::Problem> problems_of(const TrainOptions& options) {
  std::vector<hone::Problem> problems;
  hone::Validation validation("/train", [](const std::string&) { return true; }, problems);
  options.validate(validation);
  return problems;
}

std::vector<std::string> paths(const std::vector<hone::Problem>& problems) {
  std::vector<std::string> paths;
  for (const hone::Problem& problem : problems) paths.push_back(problem.path.substr(7));
  return paths;
}

}  // namespace

TEST_CASE("Keys without effect are refused") {
  using Paths = std::vector<std::string>;
  const auto problems = problems_of({.decay = Decay::kConstant});
  CHECK(paths(problems) == Paths{"min_lr_ratio", "restarts", "one_cycle", "wsd"});
  CHECK(problems[0].message == "has no effect with decay constant; remove it");
  CHECK(paths(problems_of({})) == Paths{"restarts", "one_cycle", "wsd"});
  CHECK(paths(problems_of({.decay = Decay::kCosineRestarts})) == Paths{"one_cycle", "wsd"});
  CHECK(paths(problems_of({.decay = Decay::kOneCycle})) ==
        Paths{"min_lr_ratio", "warmup_ratio", "restarts", "wsd"});
  CHECK(problems_of({.steps = 0, .decay = Decay::kWsd}).size() == 18);
}

TEST_CASE("Schedules that cannot be are refused") {
  const auto wsd =
      problems_of({.decay = Decay::kWsd, .warmup_ratio = 0.5, .wsd = {.decay_share = 0.6}});
  REQUIRE(wsd.size() == 3);
  CHECK(wsd[2].path == "/train/wsd/decay_share");
  std::vector<hone::Problem> problems;
  hone::Validation validation(
      "/train/one_cycle", [](const std::string&) { return true; }, problems);
  OneCycleOptions{.pct_start = 0.6, .three_phase = true}.validate(validation);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].path == "/train/one_cycle/pct_start");
}

TEST_CASE("Every schedule's options survive being printed and read") {
  for (const std::string& decay : hone::enum_names<Decay>()) {
    for (const int64_t steps : {0, 7}) {
      TrainOptions options{.steps = steps};
      options.decay = hone::enum_from_name<Decay>(decay).value();
      options.restarts.t_0 = 5;
      options.one_cycle.three_phase = true;
      options.wsd.form = WsdForm::kLinear;
      const hone::Json printed = hone::config::to_json(options);
      const auto read = hone::config::read_config<TrainOptions>(printed);
      CHECK(hone::config::to_json(read) == printed);
      CHECK(printed.contains("wsd") == (steps > 0 && decay == "wsd"));
    }
  }
}
