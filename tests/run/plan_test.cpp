#include "hone/run/plan.h"

#include <fstream>

#include "hone/model/cost.h"
#include "recipe_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::run;

TEST_CASE("A plan needs no weights, and tells what the model is") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("base");
  const std::string config = model + "/config.json";
  Json json = read_json_file(config);
  json.update(test::expert_architecture());
  json.update({{"q_lora_rank", nullptr}, {"kv_lora_rank", 24}, {"qk_rope_head_dim", 8}});
  std::ofstream(config) << json;
  std::filesystem::remove(model + "/model.safetensors");
  const Plan plan = make_plan(folder.config_of(model));
  const int64_t rows = json.at("vocab_size").get<int64_t>();
  const int64_t attention = 16 * 28 + 16 * 32 + 24 + 24 * 24 + 12 * 16;
  const int64_t expert = 3 * 16 * 12, dense = 3 * 16 * 16;
  const int64_t all = 2 * (attention + 2 * 16) + dense + 9 * expert + 8 * 16 + 16 + 2 * rows * 16;
  CHECK(model::Cost(plan.decoder).parameters() == all);
  CHECK(model::Cost(plan.decoder).active_parameters() == all - 6 * expert);
  // Two layers of 24 + 8 numbers.
  CHECK_THAT(plan.text, Catch::Contains("cache of a position          0.2 KiB") &&
                            Catch::Contains("of them for a token") &&
                            Catch::Contains("whose weights are not there yet") &&
                            Catch::Contains("tuning lora, rank 8"));
}

TEST_CASE("Snapshots count in a run's peak, each as the weights that train and their state") {
  const test::RecipeFolder folder;
  const auto plan = [config = folder.config()](int64_t snapshots) {
    return make_plan(config, nullptr, "", {.snapshots = snapshots});
  };
  const Plan none = plan(0), two = plan(2);
  const int64_t bytes = 2 * (none.memory.gradients + none.memory.optimizer_states);
  CHECK(two.memory.peak == none.memory.peak + bytes);
  CHECK(two.process_bytes == none.process_bytes + bytes);
  CHECK_THAT(two.text, Catch::Contains("2 snapshots"));
  CHECK_THAT(none.text, !Catch::Contains("snapshots"));
}

TEST_CASE("Dropout that a part may turn on takes memory where an adapter has none yet") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("m");
  const auto activations = [&](double dropout, bool changes) {
    const Config config =
        folder.config_of(model, {{"tuning", "lora"}, {"lora", {{"dropout", dropout}}}});
    return make_plan(config, nullptr, "", {.lora_dropout = changes}).memory.activations;
  };
  CHECK(activations(0, false) < activations(0, true));
  CHECK(activations(0, true) == activations(0.1, false));
}

TEST_CASE("A plan says a run's length as the recipe does") {
  const test::RecipeFolder folder;
  const auto text = [&](const Json& length) { return make_plan(folder.config(length)).text; };
  CHECK_THAT(text({{"train", {{"epochs", 2}}}}), Catch::Contains("\n2 epochs = "));
  CHECK_THAT(text({{"train", {{"steps", 8}}}}),
             Catch::Contains("\n8 steps of up to ") && !Catch::Contains("epoch"));
}
