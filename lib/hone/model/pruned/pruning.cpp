#include "hone/model/pruned/pruning.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>

#include "hone/core/error.h"
#include "hone/model/checkpoint.h"
#include "hone/nn/anatomy.h"

namespace hone::model {
namespace {

/// Null without.
nn::Gate gate_of(const nn::DecoderBlock& block, UnitKind kind) {
  switch (kind) {
    case UnitKind::kHeads:
      return block->self_attn->gate;
    case UnitKind::kChannels:
      return block->mlp->gate;
    default:
      return block->gate;
  }
}

/// The layers' gates by their indices.
std::map<int64_t, nn::Gate> gates(const Decoder& decoder, UnitKind kind) {
  std::map<int64_t, nn::Gate> gates;
  const std::vector<LayerSizes> sizes = layer_sizes(decoder->config());
  for (size_t i = 0; i < sizes.size(); ++i) {
    nn::Gate gate = gate_of(decoder->layers[i], kind);
    if (!gate) {
      throw Error(fmt::format("pruning: the decoder has no gates on {}; call add_gates first",
                              enum_name(kind)));
    }
    gates.emplace(sizes[i].index, std::move(gate));
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

/// What becomes of one layer that stays: its place and, where some go, the heads and channels of
/// it that stay.
struct LayerCut {
  size_t place = 0;
  std::vector<int64_t> heads, channels;
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
  const DecoderConfig& config = decoder->config();
  const auto numel = [](const nn::Linear& linear, bool bias) {
    return linear->weight.numel() + (bias && linear->bias.defined() ? linear->bias.numel() : 0);
  };
  std::vector<LayerUnits> units;
  for (const LayerSizes& sizes : layer_sizes(config)) {
    const nn::DecoderBlock& block = decoder->layers[units.size()];
    const nn::Attention& a = block->self_attn;
    const nn::Mlp& m = block->mlp;
    LayerUnits layer{.layer = sizes.index, .units = 1};
    int64_t parameters = 0;
    if (kind == UnitKind::kHeads) {
      layer.units = sizes.heads;
      for (int64_t h = 0; h < sizes.heads; ++h) layer.groups.push_back(a->kv_head(h));
      parameters = numel(a->q_proj, true) + numel(a->k_proj, true) + numel(a->v_proj, true) +
                   numel(a->o_proj, false);
    } else if (kind == UnitKind::kChannels) {
      layer.units = sizes.channels;
      parameters = numel(m->gate_proj, true) + numel(m->up_proj, true) + numel(m->down_proj, false);
    } else {
      parameters = nn::numel(*block);
    }
    layer.parameters_per_unit = static_cast<double>(parameters) / static_cast<double>(layer.units);
    units.push_back(layer);
  }
  return units;
}

void add_gates(Decoder& decoder, const std::vector<UnitKind>& kinds) {
  for (nn::DecoderBlock& block : decoder->layers) {
    for (const UnitKind kind : kinds) {
      if (kind == UnitKind::kHeads) block->self_attn->add_gate();
      if (kind == UnitKind::kChannels) block->mlp->add_gate();
      if (kind == UnitKind::kLayers) block->add_gate();
    }
  }
}

bool has_gates(const Decoder& decoder, UnitKind kind) {
  return !gate_of(decoder->layers.front(), kind).is_empty();
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
    const std::vector<bool>& mask = all.at(layer.index)->mask();
    if (kind == UnitKind::kLayers && !any(mask)) continue;
    if (kind == UnitKind::kHeads) layer.heads = kept(layer.heads, mask);
    if (kind == UnitKind::kChannels) layer.channels = kept(layer.channels, mask);
    left.push_back(std::move(layer));
  }
  return cut_to(decoder, shortest(std::move(left), decoder->config()));
}

CutResult cut_to(Decoder& decoder, const std::vector<PrunedLayer>& pruned) {
  const std::vector<LayerSizes> old = layer_sizes(decoder->config());
  DecoderConfig wanted = decoder->config();
  wanted.pruned = pruned;
  const std::vector<LayerCut> layers = plan(decoder->config(), left_layers(wanted));
  const std::map<std::string, std::string> names = names_of(decoder);
  CutResult result;
  const auto append = [&](const std::string& module, std::vector<nn::Cut> cuts) {
    for (nn::Cut& cut : cuts) {
      cut.parameter = names.at(module + cut.parameter);
      result.cuts.push_back(std::move(cut));
    }
  };
  const auto prefix = [&](size_t place) {
    return "layers." + std::to_string(old[place].index) + ".";
  };
  std::vector<size_t> left;
  for (const LayerCut& layer : layers) {
    nn::DecoderBlock& block = decoder->layers[layer.place];
    const std::string module = prefix(layer.place);
    left.push_back(layer.place);
    if (!layer.heads.empty()) {
      append(module + "self_attn.", block->self_attn->cut_heads(layer.heads));
    }
    if (!layer.channels.empty()) {
      append(module + "mlp.", block->mlp->cut_channels(layer.channels));
    }
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

ModelSize model_size(const DecoderConfig& config, int64_t positions) {
  ModelSize size;
  const Decoder decoder = make_decoder(config, at::kMeta, at::kFloat);
  int64_t multiplied = config.vocab_size * config.hidden_size;
  for (const auto& [name, tensor] : decoder->hf_tensors()) {
    size.parameters += tensor.numel();
    if (name.ends_with("_proj.weight")) multiplied += tensor.numel();
  }
  size.flops_per_token = 2 * multiplied;
  for (const LayerSizes& sizes : layer_sizes(config)) {
    size.flops_per_token += 4 * sizes.heads * config.head_dim * positions;
  }
  return size;
}

}  // namespace hone::model
