#include "hone/run/pruned_decoder.h"

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
  CHECK(nothing[0].message == "prunes nothing: give heads, channels or layers");
  CHECK(train::problems_of(PruningOptions{}).size() == 4);  // where all keys count as given
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
