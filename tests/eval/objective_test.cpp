#include "hone/eval/objective.h"

#include <cmath>

#include "hone/config/reader.h"
#include "hone/core/error.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::eval;

namespace {

std::string refusal(Json json) {
  try {
    config::read_config<eval::ObjectiveOptions>(json);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

double value_of(const std::string& command) {
  return *eval::ObjectiveMeter({.metric = eval::Metric::kCommand, .command = command})
              .command_value("/the model");
}

}  // namespace

TEST_CASE("Perplexity and loss are over the tokens of the wanted domains") {
  const train::Evaluation evaluation{
      5, {{"a", "law", 10, 10, 20}, {"b", "medicine", 30, 30, 30}, {"c", "law", 10, 10, 0}}};
  CHECK(eval::evaluation_value({.metric = eval::Metric::kLoss}, evaluation) == 1.0);
  CHECK(eval::evaluation_value({.domains = {"law"}}, evaluation) == std::exp(1.0));
  CHECK_FALSE(eval::evaluation_value({.metric = eval::Metric::kLatency}, evaluation));
  CHECK_THROWS_WITH(eval::evaluation_value({.domains = {"x"}}, evaluation),
                    Catch::Contains("no held-out data"));
}

TEST_CASE("Each metric has its direction") {
  CHECK(eval::direction_of({.metric = eval::Metric::kPerplexity}) == tune::Direction::kMinimize);
  CHECK(eval::direction_of({.metric = eval::Metric::kBleu}) == tune::Direction::kMaximize);
  CHECK(eval::direction_of({.metric = eval::Metric::kAccuracy}) == tune::Direction::kMaximize);
  CHECK(eval::direction_of({.metric = eval::Metric::kLatency}) == tune::Direction::kMinimize);
  CHECK(eval::direction_of(
            {.metric = eval::Metric::kLatency, .direction = tune::Direction::kMaximize}) ==
        tune::Direction::kMaximize);
}

TEST_CASE("Keys that a metric does not read are errors, and what it needs is missed") {
  CHECK(refusal({{"metric", "perplexity"}, {"domains", {"law"}}}).empty());
  CHECK_THAT(refusal({{"metric", "bleu"}}), Catch::Contains("/file: is needed with metric bleu"));
  CHECK_THAT(refusal({{"metric", "latency"}, {"file", "x"}}),
             Catch::Contains("/file: has no effect"));
  CHECK_THAT(refusal({{"metric", "command"}}),
             Catch::Contains("/command: is needed") && Catch::Contains("/direction: is needed"));
  CHECK_THAT(refusal({{"metric", "chrf"}, {"file", "x"}, {"bleu", {{"lowercase", true}}}}),
             Catch::Contains("/bleu: has no effect"));
}

TEST_CASE("A command's last line is its value") {
  CHECK(value_of("echo noise; echo 12.5") == 12.5);
  CHECK(value_of("test \"$1\" = '/the model' && echo -3e2") == -300);
  CHECK_THROWS_WITH(value_of("echo twelve"),
                    Catch::Contains("must print a number") && Catch::Contains("twelve"));
  CHECK_THROWS_WITH(value_of("true"), Catch::Contains("must print a number"));
  CHECK_THROWS_WITH(value_of("echo 1; exit 4"), Catch::Contains("exit code 4"));
  CHECK_THROWS_WITH(value_of("echo no disk >&2; exit 1"), Catch::Contains("it says: no disk"));
  CHECK_THROWS_WITH(value_of("kill -9 $$"), Catch::Contains("signal 9"));
}

TEST_CASE("A command that takes too long, or that is asked to stop, is ended") {
  const eval::ObjectiveMeter meter(
      {.metric = eval::Metric::kCommand, .command = "sleep 600; echo 1", .timeout_seconds = 0.1});
  CHECK_THROWS_WITH(meter.command_value("m"), Catch::Contains("longer than 0.1 s"));
  const eval::ObjectiveMeter endless(
      {.metric = eval::Metric::kCommand, .command = "sleep 600; echo 1"});
  CHECK_FALSE(endless.command_value("m", [] { return true; }));
  CHECK_THAT(refusal({{"metric", "loss"}, {"timeout_seconds", 5}}),
             Catch::Contains("/timeout_seconds: has no effect with metric loss"));
}

TEST_CASE("The answer's mark and pattern are for text metrics, and must compile") {
  const Json rows = {{"metric", "exact_match"}, {"file", "x"}};
  Json json = rows;
  json.update({{"after", "</think>"}, {"extract", R"(#### (\d+))"}});
  CHECK(refusal(json).empty());
  json["extract"] = "(";
  CHECK_THAT(refusal(json), Catch::Contains("/extract: pattern \"(\" does not compile"));
  json["after"] = "";
  CHECK_THAT(refusal(json), Catch::Contains("/after: must not be empty"));
  CHECK_THAT(refusal({{"metric", "loss"}, {"extract", "x"}}),
             Catch::Contains("/extract: has no effect with metric loss"));
}
