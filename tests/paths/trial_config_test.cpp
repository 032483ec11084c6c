#include "hone/paths/static/trial_config.h"

#include "hone/config/reader.h"
#include "hone/config/writer.h"
#include "hone/core/error.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::paths;

namespace {

run::Config base(const char* tuning = "full") {
  Json json = {{"about", "a"},
               {"model", "m"},
               {"tuning", tuning},
               {"data", {{"train", {{{"name", "x"}, {"files", {"x.jsonl"}}}}}}}};
  if (std::string(tuning) == "lora") json["lora"] = {{"rank", 4}};
  return config::read_config<run::Config>(json);
}

tune::Param param(const std::string& name, double value, tune::Distribution distribution) {
  return {name, value, std::move(distribution)};
}

std::string problems(const tune::SpaceOptions& space, const run::Config& recipe = base()) {
  std::string text;
  for (const Problem& problem : check_space(recipe, space, "/space")) {
    text += problem.path + ": " + problem.message + "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("A point's values stand in its recipe") {
  const run::Config trial =
      trial_config(base("lora"),
                   {param("/train/lr", 0.25, tune::FloatDistribution{0, 1}),
                    param("/lora/rank", 8, tune::IntDistribution{1, 16}),
                    param("/train/decay", 1, tune::CategoricalDistribution{{"cosine", "linear"}})});
  CHECK(trial.train.lr == 0.25);
  CHECK(trial.lora.rank == 8);
  CHECK(trial.train.decay == train::Decay::kLinear);
  CHECK(trial.model == "m");
}

TEST_CASE("Keys of the base that lose their effect are left out, searched ones are refused") {
  const auto tuning = [](double value) {
    return param("/tuning", value, tune::CategoricalDistribution{{"full", "lora"}});
  };
  CHECK(trial_config(base("lora"), {tuning(0)}).tuning == run::Tuning::kFull);
  CHECK_THROWS_WITH(
      trial_config(base("lora"), {tuning(0), param("/lora/rank", 8, tune::IntDistribution{1, 16})}),
      Catch::Contains("/lora"));
}

TEST_CASE("A space's names and values are checked against the recipe") {
  CHECK(problems({{"/train/lr", {.low = 1e-5, .high = 1e-2, .log = true}}}).empty());
  CHECK_THAT(problems({{"/train/lrr", {.low = 0, .high = 1}}}),
             Catch::Contains("/space/~1train~1lrr: ") && Catch::Contains("unknown key") &&
                 Catch::Contains("did you mean lr?"));
  CHECK_THAT(problems({{"train.lr", {.low = 0, .high = 1}}}), Catch::Contains("JSON pointer"));
  CHECK_THAT(problems({{"/train/steps", {.low = 1, .high = 9.5}}}),
             Catch::Contains("give the parameter type int"));
  CHECK_THAT(problems({{"/train/lr", {.low = 0, .high = 100}}}),
             Catch::Contains("cannot be tried: must be in [0, 10]"));
  CHECK_THAT(problems({{"/train/decay",
                        {.type = tune::ParameterType::kCategorical, .choices = {"cosin"}}}}),
             Catch::Contains("expected one of"));
  CHECK_THAT(problems({{"/about/x", {.low = 0, .high = 1}}}),
             Catch::Contains("does not point to a key"));
}

TEST_CASE("Keys that change nothing in a trial cannot be searched") {
  CHECK_THAT(problems({{"/threads", {.type = tune::ParameterType::kInt, .low = 1, .high = 4}}}),
             Catch::Contains("cannot be searched: the workers share the machine's threads"));
  CHECK_THAT(
      problems({{"/train/save_every", {.type = tune::ParameterType::kInt, .low = 1, .high = 4}}}),
      Catch::Contains("trials keep no checkpoints"));
}

TEST_CASE("Values that are wrong only beside others are left to the judge") {
  Json json = {{"about", "a"},
               {"architecture", {{"hidden_size", 64}, {"num_attention_heads", 4}}},
               {"data", {{"train", {{{"name", "x"}, {"files", {"x.jsonl"}}}}}}}};
  const auto recipe = config::read_config<run::Config>(json);
  const tune::SpaceOptions space{{"/architecture/num_attention_heads",
                                  {.type = tune::ParameterType::kCategorical, .choices = {3, 4}}}};
  CHECK(problems(space, recipe).empty());
  const tune::Distribution heads = tune::CategoricalDistribution{{3, 4}};
  CHECK_THROWS_WITH(trial_config(recipe, {param("/architecture/num_attention_heads", 0, heads)}),
                    Catch::Contains("must divide hidden_size"));
}
