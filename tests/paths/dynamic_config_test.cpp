#include "hone/config/reader.h"
#include "hone/config/writer.h"
#include "hone/core/error.h"
#include "hone/paths/dynamic/config.h"
#include "hone/run/knobs.h"
#include "run/run_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::paths;
using Catch::Contains;
using test::SmallRun, test::trained_layers;

namespace {

/// A recipe on two domains with these controllers.
Json recipe(const Json& controllers) {
  Json train = Json::array(), held_out = Json::array();
  for (const char* domain : {"law", "medicine"}) {
    train.push_back({{"files", {std::string(domain) + ".jsonl"}}, {"domain", domain}});
  }
  held_out.push_back({{"files", {"news.jsonl"}}, {"domain", "news"}});
  return {{"about", "x"},
          {"architecture", Json::object()},
          {"data", {{"train", train}, {"held_out", held_out}}},
          {"train", {{"steps", 50}, {"eval_every", 10}}},
          {"controllers", controllers}};
}

/// The problems of a recipe, one "<path>: <message>" a line.
std::string problems(const Json& recipe) {
  try {
    config::read_config<DynamicConfig>(recipe);
    return "";
  } catch (const ConfigError& error) {
    return error.what();
  }
}

Json rule(const char* knob, const Json& to) {
  return {{"when", "loss > 1"}, {"set", knob}, {"to", to}};
}

}  // namespace

TEST_CASE("Options of a controller that nobody switched on are refused, with the key that helps") {
  const std::string text = problems(recipe({{"spike", {{"window", 20}, {"factor", 0.3}}},
                                            {"early_stopping", {{"patience", 3}}},
                                            {"plateau", {{"enabled", true}}}}));
  CHECK_THAT(text, Contains("/controllers/spike/enabled: is false where it is not given, so that "
                            "window, factor would do nothing: add \"enabled\": true"));
  CHECK_THAT(text, Contains("/controllers/early_stopping/enabled: is false where it is not given"));
  CHECK_THAT(text, !Contains("plateau"));
  CHECK(problems(recipe({{"spike", {{"enabled", false}, {"window", 20}}}})) == "");
}

TEST_CASE("A recipe printed with every default reads back") {
  const auto config = config::read_config<DynamicConfig>(recipe(Json::object()));
  const Json printed = config::to_json(config);
  CHECK(config::to_json(config::read_config<DynamicConfig>(printed)) == printed);
}

TEST_CASE("Rules that name what the recipe lacks are refused when it is read") {
  const Json rules = {rule("domain_weights", {{"laws", 2}}),
                      rule("domain_weights", {{"news", 2}}),
                      rule("mix_weights", {{"news", 2}}),
                      rule("augmentation_rate", 0.5),
                      rule("rollback", "bset"),
                      rule("rollback", "mine"),
                      rule("snapshot", "mine")};
  const std::string text =
      problems(recipe({{"rules", rules}, {"early_stopping", {{"enabled", true}}}}));
  CHECK_THAT(text, Contains("/controllers/rules/0/to: domain_weights has no \"laws\"; did you "
                            "mean law?"));
  CHECK_THAT(text, !Contains("rules/1"));
  CHECK_THAT(text, Contains("/controllers/rules/2/to: mix_weights has no \"news\""));
  CHECK_THAT(text, Contains("/controllers/rules/3/to: augmentation_rate above 0 needs "
                            "data.augmentation"));
  CHECK_THAT(text, Contains("/controllers/rules/4/to: nothing takes a snapshot \"bset\" to go back "
                            "to; did you mean best?"));
  CHECK_THAT(text, !Contains("rules/5"));
}

TEST_CASE("Rules on layers and units are held against the model before it trains") {
  test::SmallRun run(test::pruned_config());  // layers 2, 3 with three heads, 5
  const Json rules = {rule("frozen_layers", {5, 7}), rule("frozen_layers", {5}),
                      rule("heads", {{"0", {1, 1}}}), rule("heads", {{"3", {1, 0}}}),
                      rule("heads", {{"3", {1, 0, 1}}})};
  const auto config = config::read_config<DynamicConfig>(recipe({{"rules", rules}}));
  try {
    make_controllers(config, &run.decoder);
    FAIL("rules on layers that are not there were taken");
  } catch (const ConfigError& error) {
    const std::string text = error.what();
    CHECK_THAT(text, Contains("/controllers/rules/0/to: frozen_layers names layer 7, the model has "
                              "the layers 2, 3, 5"));
    CHECK_THAT(text, Contains("/controllers/rules/2/to: heads names layer 0"));
    CHECK_THAT(text, Contains("/controllers/rules/3/to: heads has 2 numbers for layer 3, which has "
                              "3 heads"));
    CHECK(error.problems().size() == 3);
  }
}

TEST_CASE("Weights of domains need domains, and references that there are") {
  const Json weights = {{"enabled", true}, {"reference", {{"laws", 2.0}, {"medicine", 2.0}}}};
  CHECK_THAT(problems(recipe({{"domain_weights", weights}})),
             Contains("/controllers/domain_weights/reference/laws: is no domain of the run; did "
                      "you mean law?"));
  Json one = recipe({{"domain_weights", {{"enabled", true}}}});
  one["data"]["train"].erase(1);
  one["data"]["held_out"] = Json::array();
  one["train"]["eval_every"] = 0;
  CHECK_THAT(problems(one), Contains("/controllers/domain_weights: needs at least two domains"));
}

TEST_CASE("Pruning ends within train.steps, however long the embeddings train first") {
  const Json heads = {{"target", 0.5}, {"start", 1}, {"end", 50}, {"every", 7}};
  Json grown = recipe({{"pruning", {{"enabled", true}, {"heads", heads}}}});
  grown["vocabulary"] = {{"new_tokens", 9}, {"domains", {"law"}}, {"embedding_steps", 30}};
  CHECK(problems(grown) == "");
  grown["controllers"]["pruning"]["heads"]["end"] = 51;
  CHECK_THAT(problems(grown),
             Contains("/controllers/pruning/heads/end: is after the last of train.steps, 50"));
}

TEST_CASE("A rule that cuts layers and a controller that counts them exclude each other") {
  const Json controllers = {{"freezing", {{"enabled", true}}}, {"rules", {rule("cut", "layers")}}};
  CHECK_THAT(problems(recipe(controllers)),
             Contains("/controllers/rules/0/to: removes layers, which controllers/freezing"));
}

TEST_CASE("Gradual unfreezing begins with the last layer that is there") {
  SmallRun run(test::pruned_config());
  optim::FusedAdamW optimizer = run.optimizer();
  DynamicConfig config;
  config.controllers.freezing = {
      .enabled = true, .mode = train::FreezingMode::kGradualUnfreezing, .every = 10};
  train::ControllerBoard board(make_controllers(config, &run.decoder), nullptr);
  const run::ModelKnobs run_knobs(*run.ready, optimizer, board.knobs());
  board.begin(7);  // steps of another phase came before
  board.run(train::Moment::kStart, 7);
  CHECK(trained_layers(run) == std::set<std::string>{"5"});
  for (int64_t step = 8; step <= 17; ++step) board.run(train::Moment::kStep, step);
  CHECK(trained_layers(run) == std::set<std::string>{"3", "5"});
}

TEST_CASE("Freezing that leaves no layer to freeze is refused before anything trains") {
  SmallRun run(test::pruned_config());
  DynamicConfig config;
  config.controllers.freezing = {.enabled = true, .min_trainable = 3};
  CHECK_THROWS_WITH(make_controllers(config, &run.decoder),
                    "/controllers/freezing/min_trainable: min_trainable must be below the model's "
                    "3 layers, got 3");
}

TEST_CASE("What changes layers excludes what trains layers beside them, or the indexers alone") {
  const Json heads = {{"end", 40}};
  Json pruned = recipe({{"pruning", {{"enabled", true}, {"heads", heads}}}});
  pruned["model"] = "folder";
  pruned.erase("architecture");
  Json further = pruned;
  further["multi_token"]["train"] = true;
  CHECK_THAT(problems(further), Contains("/multi_token/train: trains layers that pruning leaves"));
  CHECK_THAT(problems(pruned), !Contains("multi_token"));
  Json shared = pruned;
  shared["sharing"]["layers"] = {{0, 1}};
  CHECK_THAT(problems(shared), Contains("/sharing: no units can be cut of layers that share"));
  Json rounded = pruned;
  rounded["quantisation"]["scheme"] = "w8a8";
  CHECK_THAT(problems(rounded), Contains("/quantisation: makes integers of whole layers"));
  Json dropped = rounded;
  dropped["tuning"] = "lora";
  dropped["controllers"] = {{"rules", {rule("dropout", 0.1)}}};
  CHECK_THAT(problems(dropped), Contains("/quantisation: rounds an adapter's change"));

  Json frozen = pruned;
  frozen["controllers"] = {{"rules", {rule("frozen_layers", {0})}}};
  frozen["indexer"]["train"] = "sparse";
  CHECK_THAT(problems(frozen), !Contains("/indexer/train"));
  frozen["indexer"]["train"] = "warm_up";
  CHECK_THAT(problems(frozen), Contains("/indexer/train: warm_up freezes all but the indexers"));
}
