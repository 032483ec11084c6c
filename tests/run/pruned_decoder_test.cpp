#include "hone/run/pruned_decoder.h"

#include <algorithm>
#include <string>

#include "hone/core/error.h"
#include "hone/model/pruned/pruning.h"
#include "hone/run/optimizer.h"
#include "run/run_fixture.h"
#include "support/catch.h"
#include "train/controller_fixture.h"

using namespace hone;
using namespace hone::run;
using test::SmallRun;

namespace {

nn::PruneOptions by_chance(double target) {
  return {.rule = nn::PruneRule::kRandom, .target = target, .start = 1, .end = 1};
}

/// What the controller decides at its only step.
train::Desk decide(SmallRun& run, const PruningOptions& options) {
  train::Desk desk({{"heads", nullptr}, {"layers", nullptr}, {"cut", nullptr}});
  Pruning(options, &run.decoder).after_step(1, {}, desk);
  return desk;
}

int64_t count_on(const Json& masks) {
  int64_t on = 0;
  for (const Json& layer : masks) {
    for (const Json& unit : layer) on += unit.get<int64_t>();
  }
  return on;
}

}  // namespace

TEST_CASE("Pruning that is enabled names what it prunes, and else has no options") {
  CHECK(train::problems_of(PruningOptions{.enabled = true, .heads = by_chance(0.5)}).empty());
  const auto nothing = train::problems_of(PruningOptions{.enabled = true});
  REQUIRE(nothing.size() == 1);
  CHECK(nothing[0].message == "prunes nothing: give heads, channels, experts or layers");
  CHECK(train::problems_of(PruningOptions{}).size() == 5);  // where all keys count as given
}

TEST_CASE("Whole layers are pruned as the units of one piece, and the decision counts them") {
  SmallRun run(test::pruned_config());
  const train::Desk desk = decide(run, {.enabled = true, .layers = by_chance(0.34)});
  REQUIRE(desk.lines.size() == 2);
  CHECK(desk.lines[0].knob == "layers");
  CHECK(desk.lines[0].value.size() == 3);
  CHECK(count_on(desk.lines[0].value) == 2);
  CHECK(desk.lines[0].rule == "2 of 3 layers stay on, by chance");
  CHECK(desk.lines[1].knob == "cut");
  CHECK(desk.lines[1].value == "layers");
}

TEST_CASE("Heads are pruned over all layers") {
  SmallRun run(model::test::small_config());  // three layers of four heads
  const train::Desk desk = decide(run, {.enabled = true, .heads = by_chance(0.5), .cut = false});
  REQUIRE(desk.lines.size() == 1);
  CHECK(count_on(desk.lines[0].value) == 6);
  CHECK(desk.lines[0].rule == "6 of 12 heads stay on, by chance");
}

TEST_CASE("Experts go by routed mass, as many of each group of each layer, and merge") {
  Json config = model::test::v3_config();
  config["n_routed_experts"] = 12;  // four in each of three groups, of which two must stay
  for (const bool merge : {false, true}) {
    SmallRun run(config);
    optim::FusedAdamW optimizer = run.optimizer();
    train::Knobs knobs;
    PrunedDecoder pruned(run.decoder, optimizer, knobs);
    const ExpertPruningOptions options = {.start = 1, .end = 3, .every = 2, .merge = merge};
    Pruning controller({.enabled = true, .experts = options}, &run.decoder);
    CHECK(controller.owns() == (merge ? std::vector<std::string>{"cut", "merged_experts", "experts"}
                                      : std::vector<std::string>{"cut", "experts"}));
    controller.begin(1);
    train::Desk desk({{"experts", nullptr}, {"merged_experts", nullptr}, {"cut", nullptr}});
    model::Importances masses;
    const auto step = [&](int64_t number) {
      model::test::loss_of(run.decoder, model::test::random_input({9, 6}, 40)).backward();
      masses = model::importances(run.decoder, model::UnitKind::kExperts);
      desk.lines.clear();
      controller.after_step(number, {}, desk);
      for (const auto& line : desk.lines) knobs.set(line.knob, line.value);
    };
    step(1);  // the share is 0 at the start
    CHECK(count_on(knobs.get("experts")) == 24);
    step(3);
    REQUIRE(desk.lines.size() == (merge ? 3 : 2));
    CHECK(desk.lines[0].knob == (merge ? "merged_experts" : "experts"));
    const auto& masks = desk.lines[merge ? 1 : 0];
    CHECK(masks.rule == "12 of 24 experts stay on, by routed mass");
    for (const char* layer : {"1", "2"}) {
      const auto& mass = masses.at(std::stoll(layer));
      for (size_t group = 0; group < 3; ++group) {
        double most_off = 0, least_on = 1e9;
        int64_t on = 0;
        for (size_t e = 4 * group; e < 4 * group + 4; ++e) {
          const bool stays = masks.value.at(layer).at(e) == 1;
          on += stays;
          (stays ? least_on : most_off) =
              stays ? std::min(least_on, mass[e]) : std::max(most_off, mass[e]);
        }
        CHECK(on == 2);
        CHECK(most_off <= least_on);
      }
      if (merge) CHECK(desk.lines[0].value.at(layer).size() == 6);
    }
    CHECK(desk.lines.back().value == "experts");
    CHECK(model::units(run.decoder, model::UnitKind::kExperts)[0].units == 6);
    CHECK(optimizer.parameters().at("model.layers.1.mlp.gate.weight").size(0) == 6);
    // What is left is a run's like any other: saved, and brought back on a whole base.
    SmallRun again(config);
    optim::FusedAdamW other = again.optimizer();
    train::Knobs more;
    PrunedDecoder resumed(again.decoder, other, more);
    resumed.restore(pruned.state());
    CHECK(resumed.state() == pruned.state());
  }
}

TEST_CASE("Targets of experts that cannot be met are named") {
  const auto make = [](const Json& config, const ExpertPruningOptions& options) {
    SmallRun run(config);
    Pruning(PruningOptions{.enabled = true, .experts = options}, &run.decoder);
  };
  const Json config = model::test::v3_config();  // two experts in each of three groups
  CHECK_THROWS_WITH(make(config, {}),
                    Catch::Contains("/controllers/pruning/experts: target 0.5 takes 1 of the 2 "
                                    "experts of a group, of which 1 or more must go and 2 stay"));
  CHECK_THROWS_WITH(make(model::test::small_config(), {}), Catch::Contains("the model has none"));
  const auto problems = [](const ExpertPruningOptions& options) {
    return train::problems_of(options);
  };
  CHECK(problems({.start = 10, .end = 5}).front().path == "/end");
  const auto random = problems({.rule = ExpertRule::kRandom, .merge = true});
  CHECK(random.back().message == "weighs experts by their mass: take the rule routed_mass");
}

TEST_CASE("Heads that are on are measured by layer, nothing where they have no gates") {
  SmallRun run(model::test::small_config());
  optim::FusedAdamW optimizer = run.optimizer();
  train::Knobs knobs;
  const PrunedDecoder pruned(run.decoder, optimizer, knobs);
  train::Signals signals;
  CHECK(pruned.measure(signals, true) == Json::object());
  knobs.set("heads", {{"0", {1, 1, 1, 1}}, {"1", {1, 0, 0, 1}}, {"2", {0, 1, 1, 1}}});
  CHECK(pruned.measure(signals, true) ==
        Json{{"heads_alive", {{"0", 4}, {"1", 2}, {"2", 3}}}});  // of importance nothing is known
  CHECK(*signals.find("heads_alive/1") == 2);
}
