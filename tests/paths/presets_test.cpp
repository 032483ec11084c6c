#include "hone/paths/static/presets.h"

#include <cmath>

#include "hone/core/error.h"
#include "hone/paths/static/config.h"
#include "hone/paths/static/feasibility.h"
#include "run/recipe_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::paths;

namespace {

/// The space that presets make for a recipe.
tune::SpaceOptions resolved(const run::Config& base, std::vector<Preset> presets,
                            tune::SpaceOptions space = {}) {
  StaticConfig config;
  config.base = base;
  config.space = std::move(space);
  config.presets = std::move(presets);
  run::Cache cache;
  resolve_presets(config, cache);
  return config.space;
}

/// The rate of Kaplan et al. for the recipe's model.
double kaplan(const run::Config& base) {
  run::Cache cache;
  return 0.003239 - 0.0001395 * std::log(static_cast<double>(forecast(base, cache).parameters));
}

}  // namespace

TEST_CASE("The learning rate's range lies about the rate for the model's size") {
  const test::RecipeFolder folder;
  const run::Config base = folder.config();
  const auto lr = resolved(base, {Preset::kLearningRate}).at("/train/lr");
  CHECK(lr.log);
  CHECK(lr.low == Approx(kaplan(base) / 10));
  CHECK(lr.high == Approx(kaplan(base) * 10));

  const std::string model = folder.model("base");
  const run::Config trained = folder.config_of(model);
  CHECK(resolved(trained, {Preset::kLearningRate}).at("/train/lr").high ==
        Approx(kaplan(trained)));  // a tenth of it, a decade to either side
  const run::Config lora = folder.config_of(model, {{"tuning", "lora"}, {"lora", {{"rank", 2}}}});
  CHECK(resolved(lora, {Preset::kLearningRate}).at("/train/lr").high == Approx(kaplan(lora) * 10));
}

TEST_CASE("An adapter's rank goes up to a quarter of the width, from 4 to 64") {
  const test::RecipeFolder folder;
  const auto most = [&](int64_t width) {
    const run::Config base =
        folder.config({{"architecture", {{"hidden_size", width}, {"num_attention_heads", 2}}}});
    const auto space = resolved(base, {Preset::kAdapter});
    CHECK(space.at("/lora/dropout").low == 0);
    CHECK(space.at("/lora/dropout").high == 0.1);
    const auto& rank = space.at("/lora/rank");
    CHECK(rank.type == tune::ParameterType::kInt);
    CHECK(rank.low == 4);
    CHECK(rank.log);
    return rank.high;
  };
  CHECK(most(8) == 4);
  CHECK(most(32) == 8);
  CHECK(most(256) == 64);
  CHECK(most(288) == 64);
}

TEST_CASE("Batches are powers of two that hold the longest document, to a tenth of the text") {
  const test::RecipeFolder folder;
  const auto choices = [&](size_t rows) {
    std::vector<std::string> list(rows, "the court hears the plaintiff");
    const run::Config base = folder.config(
        {{"data",
          {{"train", {{{"files", {folder.texts("rows.jsonl", list)}}, {"domain", "law"}}}}}}});
    return Json(resolved(base, {Preset::kBatch}).at("/data/tokens_per_batch").choices);
  };
  const Json few = choices(2);
  REQUIRE(few.size() <= 1);  // nearly no text
  const Json many = choices(400);
  REQUIRE(many.size() >= 3);
  for (size_t i = 0; i < many.size(); ++i) {
    const auto size = many[i].get<int64_t>();
    CHECK((size & (size - 1)) == 0);
    if (i > 0) CHECK(size == 2 * many[i - 1].get<int64_t>());
  }
}

TEST_CASE("What the space has stays, and a preset that adds nothing is refused") {
  const test::RecipeFolder folder;
  const run::Config base = folder.config();
  const tune::SpaceOptions own = {{"/lora/rank", {.low = 1, .high = 2}}};
  CHECK(resolved(base, {Preset::kAdapter}, own).at("/lora/rank").high == 2);  // dropout is new
  CHECK_THROWS_WITH(
      resolved(base, {Preset::kAdapter, Preset::kLearningRate},
               {{"/lora/rank", {.low = 1, .high = 2}}, {"/lora/dropout", {.low = 0, .high = 1}}}),
      "/presets/0: adds nothing: the space has its parameters already; remove it");
  CHECK(resolved(base, {}, own).size() == 1);
}
