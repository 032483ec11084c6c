#include <torch/types.h>

#include "hone/core/error.h"
#include "hone/model/cost.h"
#include "hone/model/kv_cache.h"
#include "hone/model/pruned/layers.h"
#include "model/support.h"
#include "support/catch.h"

namespace hone::model {
namespace {

using Catch::Contains;

DecoderConfig read(const Json& pruned) {
  Json json = test::small_config();  // 3 layers of 4 heads in 2 groups and 48 channels
  json["hone_pruned"] = pruned;
  return DecoderConfig::from_json(json, "config.json");
}

TEST_CASE("hone_pruned: read, and what it leaves of each layer") {
  const DecoderConfig config =
      read({{"layers", {{{"index", 0}, {"heads", {0, 2, 3}}}, {{"index", 2}, {"channels", {7}}}}}});
  const std::vector<LayerSizes> sizes = layer_sizes(config);
  REQUIRE(sizes.size() == 2);
  CHECK(sizes[0].index == 0);
  CHECK(sizes[0].heads == 3);
  CHECK(sizes[0].kv_heads == 2);
  CHECK(sizes[0].channels == 48);
  CHECK(sizes[0].kv_head_of == std::vector<int64_t>{0, 1, 1});
  CHECK(sizes[1].index == 2);
  CHECK(sizes[1].heads == 4);
  CHECK(sizes[1].kv_head_of.empty());
  CHECK(sizes[1].channels == 1);
  CHECK(left_layers(config)[1].heads == std::vector<int64_t>{0, 1, 2, 3});

  const auto heads_left = [](std::vector<int64_t> heads) {
    return layer_sizes(read({{"layers", {{{"index", 1}, {"heads", heads}}}}}))[0];
  };
  CHECK(heads_left({2, 3}).kv_heads == 1);
  CHECK(heads_left({1, 2}).kv_heads == 2);
  CHECK(heads_left({1, 2}).kv_head_of.empty());
}

TEST_CASE("hone_pruned: the shortest form, there and back") {
  const Json json = {
      {"layers", {{{"index", 0}, {"heads", {0, 3}}}, {{"index", 1}}, {{"index", 2}}}}};
  CHECK(pruned_json(read(json).pruned) == json);
  Json longer = json;
  longer["layers"][1]["heads"] = {0, 1, 2, 3};
  CHECK((read(longer).pruned == read(json).pruned));
  longer["layers"][0]["heads"] = {0, 1, 2, 3};
  CHECK(read(longer).pruned.empty());
  CHECK(pruned_json({}).is_null());
  CHECK(read(nullptr).pruned.empty());
  CHECK(pruned_from_json(nullptr, read(nullptr), "state").empty());
  CHECK(layer_sizes(read(nullptr)).size() == 3);
}

TEST_CASE("hone_pruned: hostile values are named before anything is made of them") {
  const auto layer = [](const char* key, Json value) {
    return Json{{"layers", {{{"index", 0}, {key, std::move(value)}}}}};
  };
  Json many = Json::array();
  for (int i = 0; i < 1000000; ++i) many.push_back(Json::object());
  const std::vector<std::pair<Json, const char*>> table = {
      {3, "hone_pruned: expected object"},
      {Json::array(), "hone_pruned: expected object"},
      {Json::object(), "hone_pruned/layers: expected a list of the layers left"},
      {{{"layers", Json::array()}}, "hone_pruned/layers: expected a list"},
      {{{"layers", {{"index", 0}}}}, "hone_pruned/layers: expected a list"},
      {{{"layer", Json::array()}}, "hone_pruned/layer: unknown key; did you mean"},
      {{{"layers", many}}, "1000000 layers are left of num_hidden_layers 3"},
      {{{"layers", {3}}}, "hone_pruned/layers/0: expected object"},
      {{{"layers", {Json::object()}}}, "hone_pruned/layers/0/index: is missing"},
      {{{"layers", {{{"index", "0"}}}}}, "layers/0/index: expected integer, got \"0\""},
      {{{"layers", {{{"index", 3}}}}}, "layers/0/index: must be in [0, 2], got 3"},
      {{{"layers", {{{"index", -1}}}}}, "layers/0/index: must be in [0, 2], got -1"},
      {{{"layers", {{{"index", 1}}, {{"index", 1}}}}},
       "layers/1/index: must be above the one before it, 1, got 1"},
      {layer("kv_heads", 1), "layers/0/kv_heads: unknown key"},
      {layer("heads", 2), "layers/0/heads: expected a list of indices"},
      {layer("heads", Json::array()), "layers/0/heads: expected a list of indices"},
      {layer("heads", {0, 1, 2, 3, 3}), "layers/0/heads: has 5 entries, there are 4"},
      {layer("heads", {0, 0}), "layers/0/heads/1: must be above the one before it"},
      {layer("heads", {2, 1}), "layers/0/heads/1: must be above the one before it, 2, got 1"},
      {layer("heads", {4}), "layers/0/heads/0: must be in [0, 3], got 4"},
      {layer("heads", {-1}), "layers/0/heads/0: must be in [0, 3], got -1"},
      {layer("heads", {1.0}), "layers/0/heads/0: expected integer, got 1.0"},
      {layer("heads", {UINT64_MAX}), "layers/0/heads/0: must be in [0, 3]"},
      {layer("channels", {48}), "layers/0/channels/0: must be in [0, 47], got 48"},
      {layer("channels", {{0}}), "layers/0/channels/0: expected integer, got a list"},
      {layer("channels", many), "layers/0/channels: has 1000000 entries, there are 48"}};
  for (const auto& [json, message] : table) {
    INFO(message);
    CHECK_THROWS_AS(read(json), IoError);
    CHECK_THROWS_WITH(read(json), Contains("config.json: ") && Contains(message));
  }
}

TEST_CASE("hone_pruned: all problems at once, but no more than a message can show") {
  Json layers = Json::array();
  for (int i = 0; i < 3; ++i) layers.push_back({{"heads", {9}}, {"channels", {99}}});
  CHECK_THROWS_WITH(read({{"layers", layers}}), Contains("layers/0/index: is missing") &&
                                                    Contains("layers/0/heads/0") &&
                                                    Contains("layers/2/channels/0"));
  Json json = test::small_config();
  json["num_hidden_layers"] = 10000;
  json["hone_pruned"]["layers"] = Json::array();
  for (int i = 0; i < 10000; ++i) json["hone_pruned"]["layers"].push_back({{"index", 10000}});
  try {
    DecoderConfig::from_json(json, "config.json");
    FAIL("read");
  } catch (const IoError& error) {
    CHECK(std::string(error.what()).size() < 2000);
  }
}

TEST_CASE("KvCache: each layer keeps the heads that its attention reads") {
  const DecoderConfig config =
      read({{"layers", {{{"index", 0}, {"heads", {0, 2, 3}}}, {{"index", 2}, {"heads", {1}}}}}});
  const Decoder decoder = make_decoder(config, at::kCPU, at::kFloat);
  using Shape = nn::CacheShape;
  CHECK(decoder->cache_shapes() ==
        std::vector<Shape>{Shape{{3, 8}, {3, 8}}, Shape{{1, 8}, {1, 8}}});
  KvCache cache(decoder->cache_shapes(), at::kFloat);
  cache.reserve(2, 5);
  CHECK(cache.bytes() == Cost(config).cache_bytes(at::kFloat, 2, 5));
  CHECK(cache.bytes() == 2 * (3 + 1) * 2 * 5 * 8 * 4);
}

}  // namespace
}  // namespace hone::model
