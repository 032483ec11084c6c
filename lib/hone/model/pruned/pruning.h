/// Making a decoder smaller: units switched off by gates, then cut out of its tensors.
///
///   add_gates(decoder, {UnitKind::kHeads});
///   measure(decoder, UnitKind::kHeads, nn::Importance::kGateGradient);
///   ... train; importances(decoder, UnitKind::kHeads) ...
///   set_masks(decoder, UnitKind::kHeads, {{0, {true, false, true, true}}});  // may be undone
///   const CutResult result = cut(decoder, UnitKind::kHeads);                 // may not
///
/// A layer is named by its index before any pruning, which is also its number in tensor names: a
/// cut renames nothing. Change masks and cut between steps only.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/json.h"
#include "hone/core/names.h"
#include "hone/model/decoder.h"
#include "hone/nn/gate.h"
#include "hone/nn/linear.h"

namespace hone::model {

enum class UnitKind {
  kHeads,     ///< units of self_attn; a key head goes with the last query head that reads it
  kChannels,  ///< units of mlp
  kExperts,   ///< units of mlp where it has any; as many of each of the router's groups can be cut
  kLayers     ///< whole blocks: one unit a layer
};

/// By layer, of the units that are there.
using Masks = std::map<int64_t, std::vector<bool>>;  ///< true: on
using Importances = std::map<int64_t, std::vector<double>>;

struct LayerUnits {
  int64_t layer = 0;
  int64_t units = 0;
  double parameters_per_unit = 0;  ///< of the base; key heads in equal shares to the query heads
  std::vector<int64_t> groups;     ///< of heads: the key head of each; of experts: the router's
};

/// The units of each layer that is there and has any, with gates or without.
std::vector<LayerUnits> units(const Decoder& decoder, UnitKind kind);

/// Gives every layer a gate on its units of these kinds where it has none (nn/gate.h); dense layers
/// have no experts. Throws: hone::Error naming the layer that has experts and so no channels, or
///   where no layer has experts.
void add_gates(Decoder& decoder, const std::vector<UnitKind>& kinds);
bool has_gates(const Decoder& decoder, UnitKind kind);

/// Those below throw hone::Error for a kind without gates.

/// Begins to measure importance in backward passes, or stops.
void measure(Decoder& decoder, UnitKind kind, std::optional<nn::Importance> importance);
/// Means over the backward passes since the last reset. Throws: hone::Error if there was none.
Importances importances(const Decoder& decoder, UnitKind kind);
void reset_importances(Decoder& decoder, UnitKind kind);

Masks masks(const Decoder& decoder, UnitKind kind);
/// Layers that `masks` does not name stay as they are.
/// Throws: hone::Error for a layer that is not there, another number of units, or where no head,
///   channel or expert of a layer, or no layer, would be left; nothing is changed then.
void set_masks(Decoder& decoder, UnitKind kind, const Masks& masks);

/// All gates: masks, sums of importance and what is measured. Restores to the bit.
Json gates_json(const Decoder& decoder);
/// Throws: hone::Error if the units are not those of the decoder.
void restore_gates(Decoder& decoder, const Json& json);

/// How the parameters of a decoder changed, adapter included, by trainable_parameters' names.
struct CutResult {
  std::vector<nn::Cut> cuts;                     ///< sliced: new leaves, without gradients
  std::vector<std::string> removed;              ///< gone with their layer
  std::map<std::string, at::Tensor> parameters;  ///< that are there now
};

/// Removes the units that are masked off. Outputs stay what they were with the masks, within
/// rounding. config().pruned then says what is left.
/// Throws: hone::Error without gates of the kind; c10::ValueError for experts that leave groups of
///   different sizes, or too few to choose from.
CutResult cut(Decoder& decoder, UnitKind kind);

/// Removes all that `pruned` (of DecoderConfig) does not list: brings a freshly loaded base to the
/// shape that a run had when it was saved. Make optimisers afterwards, or let them
/// follow (run/optimizer.h).
/// Throws: hone::Error for a layer, head or channel that the decoder has not.
CutResult cut_to(Decoder& decoder, const std::vector<PrunedLayer>& pruned);

}  // namespace hone::model

template <>
struct hone::EnumNames<hone::model::UnitKind> {
  static constexpr std::pair<model::UnitKind, const char*> values[] = {
      {model::UnitKind::kHeads, "heads"},
      {model::UnitKind::kChannels, "channels"},
      {model::UnitKind::kExperts, "experts"},
      {model::UnitKind::kLayers, "layers"}};
};
