#include "hone/model/pruned/layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/names.h"
#include "hone/model/config.h"
#include "hone/model/detail/config_keys.h"
#include "hone/nn/attention.h"

namespace hone::model {
namespace {

constexpr size_t kMaxProblems = 20;

std::vector<int64_t> counted(int64_t count) {
  std::vector<int64_t> indices(count);
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

LayerSizes sizes_of(const DecoderConfig& config, const PrunedLayer& layer) {
  LayerSizes sizes{.index = layer.index,
                   .heads = config.num_attention_heads,
                   .kv_heads = config.num_key_value_heads,
                   .channels = config.intermediate_size};
  sizes.cached_heads = sizes.kv_heads;
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
  sizes.cached_heads = sizes.kv_head_of.empty() ? sizes.kv_heads : sizes.heads;
  return sizes;
}

/// Reads hone_pruned with all its problems, up to a number that a message can show.
class Reader {
 public:
  Reader(const DecoderConfig& config, std::vector<std::string>& problems)
      : config_(config), problems_(problems) {}

  std::vector<PrunedLayer> layers(const Json& json) {
    std::vector<PrunedLayer> layers;
    if (!known_keys(json, "hone_pruned", {"layers"})) return layers;
    const auto list = json.find("layers");
    if (list == json.end() || !list->is_array() || list->empty()) {
      problem("hone_pruned/layers", "expected a list of the layers left");
    } else if (std::ssize(*list) > config_.num_hidden_layers) {
      problem("hone_pruned/layers", fmt::format("{} layers are left of num_hidden_layers {}",
                                                list->size(), config_.num_hidden_layers));
    } else {
      for (size_t i = 0; i < list->size() && problems_.size() < kMaxProblems; ++i) {
        const int64_t before = layers.empty() ? -1 : layers.back().index;
        layers.push_back(layer((*list)[i], before, fmt::format("hone_pruned/layers/{}", i)));
      }
    }
    return layers;
  }

 private:
  void problem(const std::string& path, const std::string& message) {
    problems_.push_back(path + ": " + message);
  }

  bool known_keys(const Json& json, const std::string& path,
                  const std::vector<std::string>& known) {
    if (!json.is_object()) {
      problem(path, "expected an object");
      return false;
    }
    for (const auto& [key, value] : json.items()) {
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      problem(path + "/" + key, "unknown key" + did_you_mean(key, known));
      return false;
    }
    return true;
  }

  PrunedLayer layer(const Json& json, int64_t before, const std::string& path) {
    PrunedLayer layer{.index = before};
    if (!known_keys(json, path, {"index", "heads", "channels"})) return layer;
    if (json.contains("index")) {
      if (const auto index =
              number(json["index"], before, config_.num_hidden_layers, path + "/index")) {
        layer.index = *index;
      }
    } else {
      problem(path + "/index", "is missing");
    }
    layer.heads = list(json, "heads", config_.num_attention_heads, path);
    layer.channels = list(json, "channels", config_.intermediate_size, path);
    return layer;
  }

  /// An index above `before` and below `end`; its problem otherwise.
  std::optional<int64_t> number(const Json& json, int64_t before, int64_t end,
                                const std::string& path) {
    if (!json.is_number_integer()) {
      problem(path, "expected integer, got " + std::string(json.type_name()));
    } else if (const auto value = json.get<int64_t>(); value < 0 || value >= end) {
      problem(path, fmt::format("must be in [0, {}), got {}", end, value));
    } else if (value <= before) {
      problem(path, fmt::format("must be above the one before it, {}, got {}", before, value));
    } else {
      return value;
    }
    return std::nullopt;
  }

  std::vector<int64_t> list(const Json& object, const char* key, int64_t count,
                            const std::string& layer_path) {
    std::vector<int64_t> values;
    const auto found = object.find(key);
    if (found == object.end()) return values;
    const std::string path = layer_path + "/" + key;
    if (!found->is_array() || found->empty()) {
      problem(path, "expected a list of indices; leave it out where all are left");
      return values;
    }
    if (std::ssize(*found) > count) {
      problem(path, fmt::format("has {} entries, there are {}", found->size(), count));
      return values;
    }
    for (size_t i = 0; i < found->size(); ++i) {
      const auto value = number((*found)[i], values.empty() ? -1 : values.back(), count,
                                fmt::format("{}/{}", path, i));
      if (!value) return {};
      values.push_back(*value);
    }
    return values;
  }

  const DecoderConfig& config_;
  std::vector<std::string>& problems_;
};

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
    for (int64_t i = 0; i < config.num_hidden_layers; ++i) layers.push_back({i, {}, {}});
  }
  for (PrunedLayer& layer : layers) {
    if (layer.heads.empty()) layer.heads = counted(config.num_attention_heads);
    if (layer.channels.empty()) layer.channels = counted(config.intermediate_size);
  }
  return layers;
}

std::vector<PrunedLayer> shortest(std::vector<PrunedLayer> layers, const DecoderConfig& config) {
  bool whole = std::ssize(layers) == config.num_hidden_layers;
  for (PrunedLayer& layer : layers) {
    if (std::ssize(layer.heads) == config.num_attention_heads) layer.heads.clear();
    if (std::ssize(layer.channels) == config.intermediate_size) layer.channels.clear();
    whole = whole && layer.heads.empty() && layer.channels.empty();
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
  }
  return {{"layers", std::move(list)}};
}

std::vector<PrunedLayer> pruned_from_json(const Json& json, const DecoderConfig& config,
                                          const std::string& source) {
  if (json.is_null()) return {};
  std::vector<std::string> problems;
  std::vector<PrunedLayer> layers = Reader(config, problems).layers(json);
  if (!problems.empty()) throw IoError(source, detail::join(problems));
  return shortest(std::move(layers), config);
}

}  // namespace hone::model
