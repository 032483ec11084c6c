#include "hone/model/pruned/selection.h"

#include <catch2/catch.hpp>

#include "hone/core/error.h"
#include "model/support.h"

namespace hone::model {
namespace {

using Mask = std::vector<bool>;

Decoder six_layers() {
  Json config = test::small_config();
  config["num_hidden_layers"] = 6;
  return test::small_decoder(config);
}

std::string off(const Masks& masks) {
  std::string layers;
  for (const auto& [layer, mask] : masks) layers += mask[0] ? "" : std::to_string(layer);
  return layers;
}

TEST_CASE("the least important layers go, but not those at the ends") {
  const Decoder decoder = six_layers();
  const std::vector<double> importances = {0, 0.1, 0.5, 0.2, 0.3, 0};
  CHECK(off(strongest_layers(decoder, importances, 4, {})) == "34");
  CHECK(off(strongest_layers(decoder, importances, 4, {0, 0})) == "05");
  CHECK(off(strongest_layers(decoder, importances, 3, {})) == "234");
  CHECK(off(strongest_layers(decoder, importances, 6, {4, 4})) == "");
  CHECK_THROWS_WITH(strongest_layers(decoder, importances, 2, {}),
                    "pruning: 2 layers cannot stay of 6 where the first 2 and the last 1 must");
  CHECK_THROWS_WITH(strongest_layers(decoder, importances, 7, {}),
                    "pruning: 7 layers cannot stay of 6");
}

TEST_CASE("layers go one after another by what the loss is without them") {
  Decoder decoder = six_layers();
  add_gates(decoder, {UnitKind::kLayers});
  // Alone, 3 is cheapest; without 3, 2 is cheaper than 4.
  const auto loss = [&] {
    const std::string without = off(masks(decoder, UnitKind::kLayers));
    if (without == "3") return 1.0;
    if (without == "23") return 2.0;
    return without.size() == 1 ? 1.5 : 3.0;
  };
  CHECK(off(cheapest_layers_off(decoder, 4, {}, loss)) == "23");
  CHECK(off(masks(decoder, UnitKind::kLayers)) == "23");
}

TEST_CASE("heads stay by groups, as many of each") {
  const Decoder decoder = test::small_decoder();  // four query heads on two key heads
  const Importances importances = {{0, {1, 4, 3, 3}}, {1, {5, 0, 1, 2}}, {2, {1, 1, 1, 1}}};
  const Masks one_group = strongest_heads(decoder, importances, 1, 2);
  CHECK(one_group.at(0) == Mask{false, false, true, true});
  CHECK(one_group.at(1) == Mask{true, true, false, false});
  CHECK(one_group.at(2) == Mask{true, true, false, false});
  CHECK(strongest_heads(decoder, importances, 2, 2).at(0) == Mask{false, true, true, false});
  CHECK(strongest_heads(decoder, importances, 1, 1).at(1) == Mask{true, false, false, false});
  CHECK_THROWS_WITH(strongest_heads(decoder, importances, 2, 3),
                    "pruning: 3 query heads cannot be shared out among 2 key heads");
  CHECK_THROWS_WITH(strongest_heads(decoder, importances, 1, 3),
                    "pruning: 3 query heads of a key head cannot stay of 2");
  CHECK_THROWS_WITH(strongest_heads(decoder, importances, 3, 3),
                    "pruning: 3 key heads cannot stay of 2");
}

TEST_CASE("the strongest channels of each layer stay") {
  const Masks masks = strongest_channels({{0, {1, 3, 2}}, {2, {2, 2, 1}}}, 2);
  CHECK(masks.at(0) == Mask{false, true, true});
  CHECK(masks.at(2) == Mask{true, true, false});
  CHECK_THROWS_WITH(strongest_channels({{0, {1}}}, 2), "pruning: 2 channels cannot stay of 1");
}

}  // namespace
}  // namespace hone::model
