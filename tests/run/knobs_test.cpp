#include "hone/run/knobs.h"

#include <memory>
#include <set>

#include "hone/core/error.h"
#include "hone/model/pruned/pruning.h"
#include "hone/nn/attention.h"
#include "hone/run/optimizer.h"
#include "run/run_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::run;
using test::SmallRun, test::trained_layers;

TEST_CASE("frozen_layers are numbers of tensor names, also where layers were cut before") {
  SmallRun run(test::pruned_config());
  optim::FusedAdamW optimizer = run.optimizer();
  train::Knobs knobs;
  const run::ModelKnobs run_knobs(*run.ready, optimizer, knobs);
  knobs.set("frozen_layers", {2, 3});
  CHECK(trained_layers(run) == std::set<std::string>{"5"});
  CHECK(knobs.get("frozen_layers") == Json{2, 3});
  knobs.set("frozen_layers", {5});
  CHECK(trained_layers(run) == std::set<std::string>{"2", "3"});
  CHECK_THROWS_WITH(knobs.set("frozen_layers", {0}),
                    "the knob frozen_layers names layer 0, the model has 2, 3, 5");
}

TEST_CASE("A frozen layer that is cut leaves the knob, and the rest can be restored") {
  SmallRun run(test::pruned_config());
  optim::FusedAdamW optimizer = run.optimizer();
  train::Knobs knobs;
  const run::ModelKnobs run_knobs(*run.ready, optimizer, knobs);
  knobs.set("frozen_layers", {2, 3});
  follow(optimizer, model::cut_to(run.decoder, {{3, {0, 1, 2}}, {5}}));
  CHECK(knobs.get("frozen_layers") == Json{3});
  run_knobs.restore(run_knobs.state());
  CHECK(trained_layers(run) == std::set<std::string>{"5"});
}

TEST_CASE("In full tuning the dropout knob leaves attention fused and drops what branches add") {
  Json json = test::pruned_config();
  json["attention_dropout"] = 0.1;  // the model's own, which the memory plan counts
  SmallRun run(json);
  optim::FusedAdamW optimizer = run.optimizer();
  train::Knobs knobs;
  const run::ModelKnobs run_knobs(*run.ready, optimizer, knobs);
  CHECK(knobs.get("dropout") == 0.0);
  knobs.set("dropout", 0.2);
  for (const nn::DecoderBlock& block : run.decoder->layers) {
    CHECK(block->branch_dropout == 0.2);
    CHECK(block->self_attn->as<nn::AttentionImpl>()->options.dropout == 0.1);
  }
  const Json state = run_knobs.state();
  knobs.set("dropout", 0);
  run_knobs.restore(state);
  CHECK(knobs.get("dropout") == 0.2);
  knobs.set("dropout", 0);
  Json old = state;  // a checkpoint of before: the knob was the attention's, and stood still
  old.erase("branch_dropout");
  old["dropout"] = 0.1;
  run_knobs.restore(old);
  CHECK(knobs.get("dropout") == 0.0);
}

TEST_CASE("A domain that a weight of 0 left out of the mix is drawn once the knob gives it one") {
  Config recipe;
  recipe.data.train = {{.domain = "law"}, {.domain = "news", .weight = 3}};
  recipe.weights.domains = {{"news", 0}};
  SmallRun run(model::test::small_config(), recipe);
  const auto news = std::make_shared<data::Dataset>(*run.data.train[0]);
  news->name = news->domain = "news";
  news->weight = 0;
  run.data.train.push_back(news);
  run.data.domains = {"law", "news"};
  data::Loader loader(run.data.train, {.tokens_per_batch = 24});
  DecoderStep step(run.decoder, {1.0, 0.0});
  ReadyRun ready{run.config, run.decoder, loader,       step,
                 run.data,   run.folder,  run.manifest, run.text};
  optim::FusedAdamW optimizer = run.optimizer();
  train::Knobs knobs;
  const ModelKnobs run_knobs(ready, optimizer, knobs);
  knobs.set("domain_weights", {{"law", 0.5}});
  CHECK(knobs.get("mix_weights") == Json{{"law", 1}, {"news", 0}});
  knobs.set("domain_weights", {{"news", 0.5}});
  CHECK(knobs.get("mix_weights") == Json{{"law", 1}, {"news", 3}});
}
