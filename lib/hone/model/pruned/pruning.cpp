#include "hone/model/pruned/pruning.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <memory>

#include "hone/core/error.h"
#include "hone/nn/anatomy.h"
#include "hone/nn/branch.h"

namespace hone::model {
namespace {

/// Whether the block has such units.
bool has_units(const nn::DecoderBlock& block, UnitKind kind) {
  if (kind == UnitKind::kLayers) return true;
  if (kind == UnitKind::kHeads) return block->self_attn->units() > 0;
  return block->mlp->units() > 0 && block->mlp->routes() == (kind == UnitKind::kExperts);
}

/// The branch whose units they are; null for whole blocks.
std::shared_ptr<nn::BranchImpl> branch_of(const nn::DecoderBlock& block, UnitKind kind) {
  if (kind == UnitKind::kLayers) return nullptr;
  if (kind == UnitKind::kHeads) return block->self_attn.ptr();
  return block->mlp.ptr();
}

/// Null without.
nn::Gate gate_of(const nn::DecoderBlock& block, UnitKind kind) {
  const auto branch = branch_of(block, kind);
  return branch ? branch->gate : block->gate;
}

/// Numbers of the base's tensors that a cut of the branch's units makes smaller.
int64_t cut_numel(const nn::BranchImpl& branch) {
  int64_t count = 0;
  for (const nn::UnitAxis& axis : branch.axes()) {
    for (const nn::ModuleTensor& own : axis.layer->own_tensors()) {
      const int64_t dim = axis.outputs ? own.outputs : own.inputs;
      if (dim >= 0 && own.role == nn::Role::kBase) count += own.tensor.numel();
    }
  }
  return count;
}

/// The gates of the layers that have such units, by their indices.
std::map<int64_t, nn::Gate> gates(const Decoder& decoder, UnitKind kind) {
  std::map<int64_t, nn::Gate> gates;
  const std::vector<int64_t> numbers = layer_numbers(decoder->config());
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (!has_units(decoder->layers[i], kind)) continue;
    nn::Gate gate = gate_of(decoder->layers[i], kind);
    if (!gate) {
      throw Error(fmt::format("pruning: the decoder has no gates on {}; call add_gates first",
                              enum_name(kind)));
    }
    gates.emplace(numbers[i], std::move(gate));
  }
  return gates;
}

bool any(const std::vector<bool>& mask) {
  return std::find(mask.begin(), mask.end(), true) != mask.end();
}

void check_masks(const std::map<int64_t, nn::Gate>& gates, UnitKind kind, const Masks& masks) {
  const std::string name = enum_name(kind);
  for (const auto& [layer, mask] : masks) {
    const auto gate = gates.find(layer);
    if (gate == gates.end()) {
      throw Error(fmt::format("pruning: there is no layer {} to mask {} of", layer, name));
    }
    if (std::ssize(mask) != gate->second->units()) {
      throw Error(fmt::format("pruning: the mask on {} of layer {} must be of {} units, got {}",
                              name, layer, gate->second->units(), mask.size()));
    }
    if (kind != UnitKind::kLayers && !any(mask)) {
      throw Error(fmt::format("pruning: layer {} would have no {} left", layer, name));
    }
  }
  if (kind != UnitKind::kLayers) return;
  const bool left = std::any_of(gates.begin(), gates.end(), [&](const auto& item) {
    const auto mask = masks.find(item.first);
    return any(mask == masks.end() ? item.second->mask() : mask->second);
  });
  if (!left) throw Error("pruning: no layer would be left");
}

std::vector<int64_t> kept(const std::vector<int64_t>& units, const std::vector<bool>& mask) {
  std::vector<int64_t> kept;
  for (size_t i = 0; i < units.size(); ++i) {
    if (mask[i]) kept.push_back(units[i]);
  }
  return kept;
}

/// Where each of `wanted` is in `present`; both ascend. `lacks` begins the message of one that is
/// not.
std::vector<int64_t> places(const std::vector<int64_t>& wanted, const std::vector<int64_t>& present,
                            const std::string& lacks) {
  std::vector<int64_t> places;
  for (const int64_t unit : wanted) {
    const auto found = std::lower_bound(present.begin(), present.end(), unit);
    if (found == present.end() || *found != unit) {
      throw Error(fmt::format("pruning: {} {} to keep", lacks, unit));
    }
    places.push_back(found - present.begin());
  }
  return places;
}

/// What becomes of one layer that stays: its place and, where some go, the heads, and the channels
/// or experts of it that stay.
struct LayerCut {
  size_t place = 0;
  std::vector<int64_t> heads, channels, experts;
};

std::vector<LayerCut> plan(const DecoderConfig& config, const std::vector<PrunedLayer>& wanted) {
  const std::vector<PrunedLayer> present = left_layers(config);
  std::vector<int64_t> indices;
  for (const PrunedLayer& layer : present) indices.push_back(layer.index);
  std::vector<LayerCut> plan;
  for (const PrunedLayer& layer : wanted) {
    LayerCut cut;
    cut.place = places({layer.index}, indices, "there is no layer")[0];
    const PrunedLayer& old = present[cut.place];
    const std::string lacks = fmt::format("layer {} has no ", layer.index);
    cut.heads = places(layer.heads, old.heads, lacks + "head");
    cut.channels = places(layer.channels, old.channels, lacks + "channel");
    if (cut.heads.size() == old.heads.size()) cut.heads.clear();
    if (cut.channels.size() == old.channels.size()) cut.channels.clear();
    cut.experts = places(layer.experts, old.experts, lacks + "expert");
    if (cut.experts.size() == old.experts.size()) cut.experts.clear();
    plan.push_back(std::move(cut));
  }
  return plan;
}

/// A decoder's names of its tensors by those of its parameters.
std::map<std::string, std::string> names_of(const Decoder& decoder) {
  std::map<std::string, std::string> names;
  for (const nn::ModuleTensor& tensor : decoder->tensors()) names[tensor.parameter] = tensor.name;
  return names;
}

}  // namespace

std::vector<LayerUnits> units(const Decoder& decoder, UnitKind kind) {
  const std::vector<int64_t> numbers = layer_numbers(decoder->config());
  std::vector<LayerUnits> units;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const nn::DecoderBlock& block = decoder->layers[i];
    if (!has_units(block, kind)) continue;
    LayerUnits layer{.layer = numbers[i], .units = 1};
    int64_t parameters = 0;
    if (const auto branch = branch_of(block, kind)) {
      layer.units = branch->units();
      layer.groups = branch->groups();
      parameters = cut_numel(*branch);
    } else {
      parameters = nn::parameters(*block);
    }
    layer.parameters_per_unit = static_cast<double>(parameters) / static_cast<double>(layer.units);
    units.push_back(layer);
  }
  return units;
}

void add_gates(Decoder& decoder, const std::vector<UnitKind>& kinds) {
  if (!decoder->config().sharing.empty()) {
    throw Error("pruning: the model's layers share q_proj and k_proj (hone_sharing); prune first");
  }
  if (decoder->config().quantised) {
    throw Error("pruning: the model's layers hold integers; prune it before they do");
  }
  const std::vector<int64_t> numbers = layer_numbers(decoder->config());
  for (const UnitKind kind : kinds) {
    if (units(decoder, kind).empty()) {
      throw Error(fmt::format("pruning: the model has no {} to prune", enum_name(kind)));
    }
    for (size_t i = 0; i < numbers.size(); ++i) {
      nn::DecoderBlock& block = decoder->layers[i];
      if (!has_units(block, kind)) {
        if (kind == UnitKind::kExperts) continue;
        throw Error(
            fmt::format("pruning: layer {} has no {} to prune", numbers[i], enum_name(kind)));
      }
      const auto branch = branch_of(block, kind);
      branch ? branch->add_gate() : block->add_gate();
    }
  }
}

bool has_gates(const Decoder& decoder, UnitKind kind) {
  return std::any_of(decoder->layers.begin(), decoder->layers.end(), [&](const auto& block) {
    return has_units(block, kind) && !gate_of(block, kind).is_empty();
  });
}

void measure(Decoder& decoder, UnitKind kind, std::optional<nn::Importance> importance) {
  for (auto& [layer, gate] : gates(decoder, kind)) gate->measure(importance);
}

Importances importances(const Decoder& decoder, UnitKind kind) {
  Importances importances;
  for (const auto& [layer, gate] : gates(decoder, kind)) {
    importances.emplace(layer, gate->importance());
  }
  return importances;
}

void reset_importances(Decoder& decoder, UnitKind kind) {
  for (auto& [layer, gate] : gates(decoder, kind)) gate->reset_importance();
}

Masks masks(const Decoder& decoder, UnitKind kind) {
  Masks masks;
  for (const auto& [layer, gate] : gates(decoder, kind)) masks.emplace(layer, gate->mask());
  return masks;
}

void set_masks(Decoder& decoder, UnitKind kind, const Masks& masks) {
  auto all = gates(decoder, kind);
  check_masks(all, kind, masks);
  for (const auto& [layer, mask] : masks) all.at(layer)->set_mask(mask);
}

Json gates_json(const Decoder& decoder) {
  Json json = Json::object();
  for (const auto& [kind, name] : EnumNames<UnitKind>::values) {
    if (!has_gates(decoder, kind)) continue;
    Json& layers = json[name] = Json::object();
    for (const auto& [layer, gate] : gates(decoder, kind)) {
      const nn::GateState state = gate->state();
      const auto measured = gate->measured();
      layers[std::to_string(layer)] = {
          {"mask", state.mask},
          {"sums", state.sums},
          {"batches", state.batches},
          {"measured", measured ? Json(enum_name(*measured)) : Json()}};
    }
  }
  return json;
}

void restore_gates(Decoder& decoder, const Json& json) {
  for (const auto& [kind, name] : EnumNames<UnitKind>::values) {
    if (!json.contains(name)) continue;
    add_gates(decoder, {kind});
    const Json& layers = json[name];
    auto all = gates(decoder, kind);
    if (layers.size() != all.size()) {
      throw Error(fmt::format("pruning: the state has gates on {} of {} layers, the decoder of {}",
                              name, layers.size(), all.size()));
    }
    for (auto& [layer, gate] : all) {
      const Json& saved = layers.at(std::to_string(layer));
      const nn::GateState state{saved.at("mask").get<std::vector<bool>>(),
                                saved.at("sums").get<std::vector<double>>(),
                                saved.at("batches").get<int64_t>()};
      if (std::ssize(state.mask) != gate->units() || std::ssize(state.sums) != gate->units()) {
        throw Error(fmt::format("pruning: the state has {} {} in layer {}, the decoder {}",
                                state.mask.size(), name, layer, gate->units()));
      }
      const Json& measured = saved.at("measured");
      gate->measure(measured.is_null()
                        ? std::nullopt
                        : enum_from_name<nn::Importance>(measured.get<std::string>()));
      gate->restore(state);
    }
  }
}

CutResult cut(Decoder& decoder, UnitKind kind) {
  std::vector<PrunedLayer> left;
  const auto all = gates(decoder, kind);
  for (PrunedLayer& layer : left_layers(decoder->config())) {
    const auto gate = all.find(layer.index);
    const std::vector<bool> mask = gate == all.end() ? std::vector<bool>() : gate->second->mask();
    if (kind == UnitKind::kLayers && !any(mask)) continue;
    if (kind == UnitKind::kHeads) layer.heads = kept(layer.heads, mask);
    if (kind == UnitKind::kChannels) layer.channels = kept(layer.channels, mask);
    if (kind == UnitKind::kExperts && !mask.empty()) layer.experts = kept(layer.experts, mask);
    left.push_back(std::move(layer));
  }
  return cut_to(decoder, shortest(std::move(left), decoder->config()));
}

CutResult cut_to(Decoder& decoder, const std::vector<PrunedLayer>& pruned) {
  const std::vector<int64_t> old = layer_numbers(decoder->config());
  DecoderConfig wanted = decoder->config();
  wanted.pruned = pruned;
  const std::vector<LayerCut> layers = plan(decoder->config(), left_layers(wanted));
  for (const LayerCut& layer : layers) {
    if (!layer.experts.empty()) decoder->layers[layer.place]->mlp->check_kept(layer.experts);
  }
  const std::map<std::string, std::string> names = names_of(decoder);
  CutResult result;
  const auto append = [&](const std::string& module, std::vector<nn::Cut> cuts) {
    for (nn::Cut& cut : cuts) {
      cut.parameter = names.at(module + cut.parameter);
      result.cuts.push_back(std::move(cut));
    }
  };
  const auto prefix = [&](size_t place) { return "layers." + std::to_string(old[place]) + "."; };
  std::vector<size_t> left;
  for (const LayerCut& layer : layers) {
    nn::DecoderBlock& block = decoder->layers[layer.place];
    left.push_back(layer.place);
    const auto cut = [&](const std::string& branch, auto& module, const auto& keep) {
      if (!keep.empty()) append(prefix(layer.place) + branch, module->cut_units(keep));
    };
    cut("self_attn.", block->self_attn, layer.heads);
    cut("mlp.", block->mlp, block->mlp->routes() ? layer.experts : layer.channels);
  }
  for (size_t place = 0; place < old.size(); ++place) {
    if (std::find(left.begin(), left.end(), place) != left.end()) continue;
    for (const auto& item : decoder->layers[place]->named_parameters()) {
      result.removed.push_back(names.at(prefix(place) + item.key()));
    }
  }
  decoder->keep_layers(left, pruned);
  for (const nn::ModuleTensor& tensor : decoder->tensors()) {
    result.parameters.emplace(tensor.name, tensor.tensor);
  }
  return result;
}

}  // namespace hone::model
