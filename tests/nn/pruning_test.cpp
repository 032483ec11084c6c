#include "hone/nn/pruning.h"

#include <algorithm>
#include <cmath>

#include "hone/config/reader.h"
#include "hone/core/error.h"
#include "support/catch.h"

namespace hone::nn {
namespace {

using Masks = std::vector<std::vector<bool>>;

PruneUnits layer(std::vector<double> importance) {
  return {.on = std::vector<bool>(importance.size(), true), .importance = std::move(importance)};
}

Masks masks(const std::vector<PruneUnits>& layers) {
  Masks result;
  for (const PruneUnits& l : layers) result.push_back(l.on);
  return result;
}

int64_t count_off(const std::vector<PruneUnits>& layers) {
  int64_t off = 0;
  for (const PruneUnits& l : layers) off += std::count(l.on.begin(), l.on.end(), false);
  return off;
}

/// All off at once: the share is the target at every step.
PruneOptions at_once(double target) { return {.target = target, .start = 0, .end = 0}; }

TEST_CASE("pruned_share is the cubic curve") {
  const PruneOptions o = {.target = 0.8, .start = 100, .end = 300};
  const std::vector<std::pair<int64_t, double>> table = {
      {0, 0},
      {99, 0},
      {100, 0},
      {101, 0.8 * (1 - std::pow(0.995, 3))},
      {150, 0.8 * (1 - 0.421875)},  // 1 - (3/4)^3
      {200, 0.8 * 0.875},           // 1 - (1/2)^3
      {299, 0.8 * (1 - std::pow(0.005, 3))},
      {300, 0.8},
      {1000, 0.8}};
  for (const auto& [step, share] : table) {
    INFO("step " << step);
    CHECK(pruned_share(o, step) == Approx(share).margin(1e-15));
  }
  CHECK(pruned_share(at_once(0.3), 0) == 0.3);
}

TEST_CASE("prune_due: at every step of the schedule, and at its end") {
  const PruneOptions o = {.start = 10, .end = 25, .every = 6};
  std::vector<int64_t> due;
  for (int64_t step = 0; step < 40; ++step) {
    if (prune_due(o, step)) due.push_back(step);
  }
  CHECK(due == std::vector<int64_t>{10, 16, 22, 25});
}

TEST_CASE("prune: all are on before the schedule, and the least important go first") {
  PruneOptions o = {.normalise = false, .target = 0.5, .start = 10, .end = 20};
  std::vector<PruneUnits> layers = {layer({4, 1, 3, 2}), layer({8, 7, 6, 0.5})};
  prune(o, 10, layers);
  CHECK(count_off(layers) == 0);
  prune(o, 12, layers);  // 0.5 * (1 - 0.8^3) * 8 = 1.95
  CHECK(masks(layers) == Masks{{true, false, true, true}, {true, true, true, false}});
  CHECK(layers[0].off_since == std::vector<int64_t>{-1, 12, -1, -1});
  prune(o, 20, layers);
  CHECK(masks(layers) == Masks{{true, false, false, false}, {true, true, true, false}});
  CHECK(layers[0].off_since == std::vector<int64_t>{-1, 12, 20, 20});
}

TEST_CASE("prune: importances compare globally, by share of their layer, or within it") {
  const std::vector<PruneUnits> given = {layer({1, 2, 2, 2}), layer({10, 30, 40, 50})};
  const auto decided = [&](PruneScope scope, bool normalise) {
    PruneOptions o = at_once(0.25);
    o.scope = scope;
    o.normalise = normalise;
    std::vector<PruneUnits> layers = given;
    prune(o, 0, layers);
    return masks(layers);
  };
  CHECK(decided(PruneScope::kGlobal, false) ==
        Masks{{false, false, true, true}, {true, true, true, true}});
  // By their norms: 0.28, 0.55, ... and 0.14, 0.42, ...
  CHECK(decided(PruneScope::kGlobal, true) ==
        Masks{{false, true, true, true}, {false, true, true, true}});
  CHECK(decided(PruneScope::kLayer, true) ==
        Masks{{false, true, true, true}, {false, true, true, true}});
}

TEST_CASE("prune: no layer is emptied, whatever its importance") {
  for (const auto scope : {PruneScope::kGlobal, PruneScope::kLayer}) {
    for (const auto rule : {PruneRule::kQuantile, PruneRule::kMean, PruneRule::kRandom}) {
      for (const int64_t min_left : {1, 2}) {
        PruneOptions o = at_once(0.99);
        o.scope = scope;
        o.rule = rule;
        o.min_left = min_left;
        std::vector<PruneUnits> layers = {layer({0, 0, 0, 0}), layer({1, 2, 3, 4}),
                                          layer({1e9, 1e9, 1e9, 2e9}), layer({5})};
        // Even from masks that another hand emptied.
        layers[1].on = {false, false, false, false};
        o.recovery = 100;
        prune(o, 0, layers);
        for (const PruneUnits& l : layers) {
          const int64_t on = std::count(l.on.begin(), l.on.end(), true);
          CHECK(on >= std::min<int64_t>(min_left, std::ssize(l.on)));
        }
      }
    }
  }
}

TEST_CASE("prune: the rule mean takes none above the mean, and none at all from equals") {
  PruneOptions o = at_once(0.75);
  o.rule = PruneRule::kMean;
  std::vector<PruneUnits> layers = {layer({1, 2, 30, 40})};
  prune(o, 0, layers);
  CHECK(masks(layers) == Masks{{false, false, true, true}});
  o.target = 0.25;  // bounds it
  prune(o, 0, layers);
  CHECK(masks(layers) == Masks{{false, true, true, true}});
  layers = {layer({3, 3, 3, 3})};
  prune(o, 0, layers);
  CHECK(count_off(layers) == 0);
}

TEST_CASE("prune: a unit that is off comes back once it is worth it and its recovery is over") {
  PruneOptions o = at_once(0.25);
  o.recovery = 10;
  std::vector<PruneUnits> layers = {layer({1, 2, 3, 4})};
  prune(o, 0, layers);
  CHECK(masks(layers) == Masks{{false, true, true, true}});
  layers[0].importance = {9, 2, 3, 4};
  prune(o, 9, layers);
  CHECK(masks(layers) == Masks{{false, true, true, true}});
  prune(o, 10, layers);
  CHECK(masks(layers) == Masks{{true, false, true, true}});
  CHECK(layers[0].off_since == std::vector<int64_t>{-1, 10, -1, -1});
  // Switched off by another hand: as if just now.
  layers[0].on = {true, true, false, true};
  layers[0].off_since = {-1, 10, -1, -1};
  prune(o, 20, layers);
  CHECK(masks(layers) == Masks{{true, true, false, true}});
  CHECK(layers[0].off_since == std::vector<int64_t>{-1, -1, 20, -1});
}

TEST_CASE("prune: of equals those that are off stay off, else the first go") {
  const PruneOptions o = at_once(0.5);
  std::vector<PruneUnits> layers = {layer({1, 1}), layer({1, 1})};
  prune(o, 0, layers);
  CHECK(masks(layers) == Masks{{false, true}, {false, true}});
  layers[0].on = layers[1].on = {true, false};
  prune(o, 0, layers);
  CHECK(masks(layers) == Masks{{true, false}, {true, false}});
}

TEST_CASE("prune: groups go whole, by the mean of their units, and count as one") {
  PruneOptions o = at_once(0.5);
  o.whole_groups = true;
  std::vector<PruneUnits> layers = {layer({1, 9, 2, 2, 8, 8, 0, 6})};
  layers[0].groups = {0, 0, 1, 1, 2, 2, 3, 3};
  prune(o, 0, layers);  // means 5, 2, 8, 3
  CHECK(masks(layers) == Masks{{true, true, false, false, true, true, false, false}});
  o.min_left = 3;
  prune(o, 0, layers);
  CHECK(masks(layers) == Masks{{true, true, false, false, true, true, true, true}});
  o.whole_groups = false;  // single heads, though they share key heads
  prune(o, 0, layers);
  CHECK(masks(layers) == Masks{{false, true, false, false, true, true, false, true}});
}

TEST_CASE("prune: units that were cut count as off") {
  for (const auto scope : {PruneScope::kGlobal, PruneScope::kLayer}) {
    PruneOptions o = at_once(0.5);
    o.scope = scope;
    std::vector<PruneUnits> layers = {layer({1, 2, 3})};
    layers[0].cut = 1;  // of 4
    prune(o, 0, layers);
    CHECK(masks(layers) == Masks{{false, true, true}});
    layers[0].cut = 3;  // of 6
    prune(o, 0, layers);
    CHECK(count_off(layers) == 0);
  }
}

TEST_CASE("prune: the rule random follows its seed, not importance, and only adds to its choice") {
  PruneOptions o = {.rule = PruneRule::kRandom, .target = 0.5, .start = 0, .end = 100, .seed = 3};
  const auto decided = [&](int64_t step, std::vector<double> importance) {
    std::vector<PruneUnits> layers = {layer(importance), layer(importance)};
    if (importance.size() == 16) layers[1].importance.clear();
    prune(o, step, layers);
    return masks(layers);
  };
  const std::vector<double> rising = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  const Masks half = decided(100, rising);
  CHECK(half == decided(100, std::vector<double>(16, NAN)));
  const Masks before = decided(20, rising);
  for (size_t l = 0; l < 2; ++l) {
    for (size_t u = 0; u < 16; ++u) {
      if (!before[l][u]) CHECK_FALSE(half[l][u]);
    }
  }
  CHECK(half[0] != half[1]);
  o.seed = 4;
  CHECK(decided(100, rising) != half);
}

TEST_CASE("prune: what cannot be decided is an error") {
  std::vector<PruneUnits> layers = {layer({1, 2}), layer({1, NAN})};
  CHECK_THROWS_WITH(prune(at_once(0.5), 0, layers),
                    Catch::Contains("the importance of unit 1 of layer 1 is nan"));
  layers[1].importance = {1};
  CHECK_THROWS_WITH(prune(at_once(0.5), 0, layers),
                    Catch::Contains("layer 1 must have importance, groups and off_since of its 2"));
}

TEST_CASE("check_target: a share that cannot go is an error before training") {
  const std::vector<PruneUnits> layers = {layer({0, 0, 0, 0}), layer({0, 0, 0, 0})};
  PruneOptions o = at_once(0.9);
  CHECK_THROWS_WITH(check_target(o, layers),
                    "pruning: target 0.9 of the 8 units of all layers asks for 7 to go, but "
                    "min_left = 1 lets only 6 go; lower target or min_left");
  o.target = 0.75;
  check_target(o, layers);
  o.min_left = 2;
  CHECK_THROWS_WITH(check_target(o, layers), Catch::Contains("asks for 6 to go"));
  o.scope = PruneScope::kLayer;
  CHECK_THROWS_WITH(check_target(o, layers), Catch::Contains("of the 4 units of layer 0"));
  o.target = 0.1;
  CHECK_THROWS_WITH(check_target(o, layers), Catch::Contains("is none when rounded; raise it"));
  o.target = 0.3;
  check_target(o, layers);
  // Groups of 2: of 2 groups none may go.
  o.whole_groups = true;
  std::vector<PruneUnits> grouped = layers;
  for (PruneUnits& l : grouped) l.groups = {0, 0, 1, 1};
  CHECK_THROWS_WITH(check_target(o, grouped), Catch::Contains("2 groups of layer 0"));
}

TEST_CASE("PruneOptions: a recipe's mistakes are named") {
  const auto read = [](const char* text) {
    return config::read_config<PruneOptions>(Json::parse(text));
  };
  CHECK(read(R"({"importance": "taylor", "rule": "mean", "target": 0.4})").importance ==
        Importance::kTaylor);
  CHECK_THROWS_WITH(read(R"({"start": 20, "end": 10})"),
                    Catch::Contains("/end: must be at or after start = 20, got 10"));
  CHECK_THROWS_WITH(read(R"({"target": 1})"), Catch::Contains("/target: must be above 0"));
  CHECK_THROWS_WITH(read(R"({"rule": "random", "importance": "taylor"})"),
                    Catch::Contains("/importance: has no effect with the rule random"));
  CHECK_THROWS_WITH(read(R"({"seed": 2})"), Catch::Contains("/seed: has no effect"));
  CHECK_THROWS_WITH(read(R"({"scope": "layer", "normalise": true})"),
                    Catch::Contains("/normalise: has no effect with the scope layer"));
}

}  // namespace
}  // namespace hone::nn
