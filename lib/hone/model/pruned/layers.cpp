#include "hone/model/pruned/layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/keys.h"
#include "hone/model/config.h"
#include "hone/model/family.h"
#include "hone/nn/attention.h"

namespace hone::model {
namespace {

constexpr size_t kMaxProblems = 20;

std::string must_rise(int64_t before, int64_t index) {
  return fmt::format("must be above the one before it, {}, got {}", before, index);
}

std::vector<int64_t> counted(int64_t count) {
  std::vector<int64_t> indices(count);
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

LayerSizes sizes_of(const DecoderConfig& config, const PrunedLayer& layer) {
  LayerSizes sizes{.index = layer.index,
                   .heads = config.num_attention_heads,
                   .kv_heads = config.num_key_value_heads,
                   .channels = config.intermediate_size,
                   .experts = config.model_type->experts(config, layer.index).count};
  if (!layer.experts.empty()) sizes.experts = std::ssize(layer.experts);
  if (!layer.channels.empty()) sizes.channels = std::ssize(layer.channels);
  if (layer.heads.empty()) return sizes;
  sizes.heads = std::ssize(layer.heads);
  const int64_t group = config.num_attention_heads / config.num_key_value_heads;
  int64_t last = -1;
  sizes.kv_heads = 0;
  for (const int64_t head : layer.heads) {
    if (head / group != last) ++sizes.kv_heads;
    last = head / group;
    sizes.kv_head_of.push_back(sizes.kv_heads - 1);
  }
  sizes.kv_head_of = nn::uneven_kv_map(std::move(sizes.kv_head_of), sizes.kv_heads);
  return sizes;
}

/// Indices that rise, all in [0, count), of those that are left; none where all are.
std::vector<int64_t> left_of(Keys& keys, const char* key, int64_t count) {
  const Json* list = keys.find(key);
  if (!list) return {};
  if (!list->is_array() || list->empty()) {
    keys.problem(key, "expected a list of indices; leave it out where all are left");
    return {};
  }
  if (std::ssize(*list) > count) {
    keys.problem(key, fmt::format("has {} entries, there are {}", list->size(), count));
    return {};
  }
  std::vector<int64_t> indices = keys.integers(key, 0, count - 1);
  for (size_t i = 1; i < indices.size(); ++i) {
    if (indices[i] > indices[i - 1]) continue;
    keys.problem(fmt::format("{}/{}", key, i), must_rise(indices[i - 1], indices[i]));
    return {};
  }
  return indices;
}

/// The experts of a layer that are left, as many of each group.
std::vector<int64_t> left_experts(Keys& keys, const RoutedExperts& routed) {
  if (!keys.find("experts")) return {};
  if (routed.count == 0) {
    keys.problem("experts", "the layer has none");
    return {};
  }
  const std::vector<int64_t> left = left_of(keys, "experts", routed.count);
  std::vector<int64_t> of_group(routed.groups, 0);
  for (const int64_t expert : left) ++of_group[expert / (routed.count / routed.groups)];
  const auto [fewest, most] = std::minmax_element(of_group.begin(), of_group.end());
  if (!left.empty() && (*fewest < *most || *fewest < routed.least)) {
    keys.problem("experts", fmt::format("must leave equally many, and {} at least, of each of {} "
                                        "groups, got from {} to {}",
                                        routed.least, routed.groups, *fewest, *most));
  }
  return left;
}

/// One layer, behind the one whose index is `before`.
PrunedLayer read_layer(Keys keys, int64_t before, const DecoderConfig& config) {
  PrunedLayer layer{.index = keys.required_integer("index", 0, config.num_hidden_layers - 1)};
  if (layer.index <= before) keys.problem("index", must_rise(before, layer.index));
  layer.heads = left_of(keys, "heads", config.num_attention_heads);
  layer.channels = left_of(keys, "channels", config.intermediate_size);
  layer.experts = left_experts(keys, config.model_type->experts(config, layer.index));
  keys.done();
  return layer;
}

/// hone_pruned with all its problems, up to a number that a message can show.
std::vector<PrunedLayer> read_layers(const Json& json, const DecoderConfig& config,
                                     std::vector<std::string>& problems) {
  std::vector<PrunedLayer> layers;
  Keys keys(json, "/hone_pruned", problems);
  const Json* list = keys.find("layers");
  keys.done();
  if (!problems.empty()) return layers;
  if (!list || !list->is_array() || list->empty()) {
    keys.problem("layers", "expected a list of the layers left");
  } else if (std::ssize(*list) > config.num_hidden_layers) {
    keys.problem("layers", fmt::format("{} layers are left of num_hidden_layers {}", list->size(),
                                       config.num_hidden_layers));
  } else {
    for (size_t i = 0; i < list->size() && problems.size() < kMaxProblems; ++i) {
      const int64_t before = layers.empty() ? -1 : layers.back().index;
      layers.push_back(
          read_layer(keys.below((*list)[i], fmt::format("layers/{}", i)), before, config));
    }
  }
  return layers;
}

}  // namespace

std::vector<LayerSizes> layer_sizes(const DecoderConfig& config) {
  std::vector<LayerSizes> sizes;
  for (const PrunedLayer& layer : config.pruned) sizes.push_back(sizes_of(config, layer));
  if (!config.pruned.empty()) return sizes;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) sizes.push_back(sizes_of(config, {i}));
  return sizes;
}

std::vector<int64_t> layer_numbers(const DecoderConfig& config) {
  std::vector<int64_t> numbers;
  for (const PrunedLayer& layer : config.pruned) numbers.push_back(layer.index);
  return numbers.empty() ? counted(config.num_hidden_layers) : numbers;
}

std::vector<PrunedLayer> left_layers(const DecoderConfig& config) {
  std::vector<PrunedLayer> layers = config.pruned;
  if (layers.empty()) {
    for (int64_t i = 0; i < config.num_hidden_layers; ++i) layers.push_back({i});
  }
  for (PrunedLayer& layer : layers) {
    if (layer.heads.empty()) layer.heads = counted(config.num_attention_heads);
    if (layer.channels.empty()) layer.channels = counted(config.intermediate_size);
    if (layer.experts.empty()) {
      layer.experts = counted(config.model_type->experts(config, layer.index).count);
    }
  }
  return layers;
}

std::vector<PrunedLayer> shortest(std::vector<PrunedLayer> layers, const DecoderConfig& config) {
  bool whole = std::ssize(layers) == config.num_hidden_layers;
  for (PrunedLayer& layer : layers) {
    if (std::ssize(layer.heads) == config.num_attention_heads) layer.heads.clear();
    if (std::ssize(layer.channels) == config.intermediate_size) layer.channels.clear();
    const auto experts = config.model_type->experts(config, layer.index).count;
    if (std::ssize(layer.experts) == experts) layer.experts.clear();
    whole = whole && layer.heads.empty() && layer.channels.empty() && layer.experts.empty();
  }
  if (whole) layers.clear();
  return layers;
}

Json pruned_json(const std::vector<PrunedLayer>& layers) {
  if (layers.empty()) return nullptr;
  Json list = Json::array();
  for (const PrunedLayer& layer : layers) {
    list.push_back({{"index", layer.index}});
    if (!layer.heads.empty()) list.back()["heads"] = layer.heads;
    if (!layer.channels.empty()) list.back()["channels"] = layer.channels;
    if (!layer.experts.empty()) list.back()["experts"] = layer.experts;
  }
  return {{"layers", std::move(list)}};
}

std::vector<PrunedLayer> pruned_from_json(const Json& json, const DecoderConfig& config,
                                          const std::string& source) {
  if (json.is_null()) return {};
  std::vector<std::string> problems;
  std::vector<PrunedLayer> layers = read_layers(json, config, problems);
  if (!problems.empty()) throw IoError(source, joined(problems));
  return shortest(std::move(layers), config);
}

}  // namespace hone::model
