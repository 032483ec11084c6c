#include "hone/nn/lora.h"

#include "hone/config/reader.h"
#include "support/catch.h"

namespace hone::nn {
namespace {

TEST_CASE("LoraOptions: read and checked") {
  const auto options = config::read_config<LoraOptions>(
      Json{{"rank", 4}, {"targets", {"q_proj"}}, {"alpha_pattern", {{"q_proj", 2}}}});
  CHECK(options.rank == 4);
  CHECK(options.alpha == 16);
  CHECK(options.alpha_pattern.at("q_proj") == 2);
  const auto read = [](const Json& json) { return config::read_config<LoraOptions>(json); };
  CHECK_THROWS_WITH(read({{"rank_pattern", {{"q_proj", 0}}}}),
                    Catch::Contains("/rank_pattern/q_proj") && Catch::Contains("at least 1"));
  CHECK_THROWS_WITH(read({{"alpha_pattern", {{"q_proj", -1}}}}),
                    Catch::Contains("must not be negative"));
  CHECK_THROWS_WITH(read({{"target_regex", ".*"}, {"targets", {"q_proj"}}}),
                    Catch::Contains("/targets: has no effect with a target_regex"));
  CHECK_THROWS_WITH(read({{"dropout", 1}}), Catch::Contains("/dropout"));
  CHECK_THROWS_WITH(
      read({{"dropout", 0.1}, {"dora", true}, {"target_parameters", {"experts.down_proj"}}}),
      Catch::Contains("/dropout: must be 0 with target_parameters") && Catch::Contains("/dora"));
}

}  // namespace
}  // namespace hone::nn
