/// What pruning left of a decoder: its form in config.json and the sizes that follow from it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hone/core/json.h"

namespace hone::model {

struct DecoderConfig;

/// One layer that is left. Its indices ascend and are those before any pruning.
struct PrunedLayer {
  int64_t index = 0;              ///< of the layer
  std::vector<int64_t> heads;     ///< query heads left; empty: all
  std::vector<int64_t> channels;  ///< of the MLP, left; empty: all
  std::vector<int64_t> experts;   ///< left; empty: all, or it has none

  bool operator==(const PrunedLayer&) const = default;
};

/// The sizes of one layer, pruned or whole.
struct LayerSizes {
  int64_t index = 0;                ///< before any pruning
  int64_t heads = 0, kv_heads = 0;  ///< a key head is left while a query head reads it
  int64_t channels = 0;
  int64_t experts = 0;              ///< 0: it has none
  std::vector<int64_t> kv_head_of;  ///< nn::AttentionOptions'; empty where groups are even
};

/// The layers of a model, in order.
std::vector<LayerSizes> layer_sizes(const DecoderConfig& config);

/// The numbers of a model's layers, ascending: a layer's number is that in tensor names, which it
/// keeps when others are cut, not its place among those that are left.
std::vector<int64_t> layer_numbers(const DecoderConfig& config);

/// All layers that are left, each with its heads, channels and experts written out.
std::vector<PrunedLayer> left_layers(const DecoderConfig& config);

/// The shortest way to say the same: a list of all heads, channels or experts becomes empty, and so
/// do the layers if they lack nothing.
std::vector<PrunedLayer> shortest(std::vector<PrunedLayer> layers, const DecoderConfig& config);

/// The value of config.json's key hone_pruned:
///   {"layers": [{"index": 0, "heads": [0, 2], "channels": [...], "experts": [...]}, ...]}
/// or null for no layers, which is a whole model. An absent list means all. Key heads are not told:
/// they are those that the heads' groups have.
Json pruned_json(const std::vector<PrunedLayer>& layers);

/// Reads such a value for a model whose other sizes `config` has. Nothing is made of the sizes in
/// the file before they are checked. Empty if it leaves everything, or is null.
/// Throws: IoError, as of `source`, naming each key that is missing, unknown, mistyped, empty, too
///   long, out of range or not ascending, and experts that leave groups of different sizes or too
///   few of a group.
std::vector<PrunedLayer> pruned_from_json(const Json& json, const DecoderConfig& config,
                                          const std::string& source);

}  // namespace hone::model
