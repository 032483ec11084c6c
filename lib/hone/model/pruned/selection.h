/// Which units of a decoder are cut at once, so that all its layers are left alike.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "hone/model/decoder.h"
#include "hone/model/pruned/pruning.h"

namespace hone::model {

/// All functions give masks for set_masks(), and throw hone::Error for more units than there are,
/// or none. Of equals the first stays.

/// Layers that may not go, counted from either end.
struct FixedLayers {
  int64_t first = 2, last = 1;
};

/// `count` layers on: of those that may go the least important are off, by importances in the order
/// of the decoder's layers (block_importances).
Masks strongest_layers(const Decoder& decoder, const std::vector<double>& importances,
                       int64_t count, const FixedLayers& fixed);

/// The same by what their loss costs: one after another goes off that leaves the lowest `loss`,
/// which is asked with each of them off. The decoder, which has gates on layers, keeps the last
/// masks.
Masks cheapest_layers_off(Decoder& decoder, int64_t count, const FixedLayers& fixed,
                          const std::function<double()>& loss);

/// In each layer `kv_heads` key heads on, those whose query heads are worth most together, and
/// `heads` query heads, as many of each of these, those worth most.
Masks strongest_heads(const Decoder& decoder, const Importances& importances, int64_t kv_heads,
                      int64_t heads);

/// In each layer `count` channels on, those worth most.
Masks strongest_channels(const Importances& importances, int64_t count);

}  // namespace hone::model
