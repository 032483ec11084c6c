#include "hone/run/pruned_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "hone/core/error.h"
#include "hone/model/decoder.h"
#include "hone/model/family.h"
#include "hone/model/pruned/merging.h"
#include "hone/model/pruned/pruning.h"
#include "hone/run/optimizer.h"

namespace hone::run {
namespace {

using model::UnitKind;

Json masks_json(const model::Masks& masks) {
  Json object = Json::object();
  for (const auto& [layer, on] : masks) {
    Json list = Json::array();
    for (const bool unit : on) list.push_back(unit ? 1 : 0);
    object[std::to_string(layer)] = std::move(list);
  }
  return object;
}

model::Masks masks_from_json(const Json& json) {
  model::Masks masks;
  for (const auto& [layer, list] : json.items()) {
    std::vector<bool>& on = masks[std::stoll(layer)];
    for (const Json& unit : list) on.push_back(unit.get<int>() != 0);
  }
  return masks;
}

/// What masks say without gates: all on.
model::Masks all_on(const model::Decoder& decoder, UnitKind kind) {
  model::Masks masks;
  for (const model::LayerUnits& layer : model::units(decoder, kind)) {
    masks[layer.layer] = std::vector<bool>(layer.units, true);
  }
  return masks;
}

model::Masks masks_of(const model::Decoder& decoder, UnitKind kind) {
  return model::has_gates(decoder, kind) ? model::masks(decoder, kind) : all_on(decoder, kind);
}

int64_t alive(const std::vector<bool>& on) { return std::count(on.begin(), on.end(), true); }

/// Whole layers are the units of one piece of the model: the policy leaves min_left of them.
std::vector<nn::PruneUnits> as_one(const std::vector<nn::PruneUnits>& layers) {
  nn::PruneUnits all;
  for (const nn::PruneUnits& layer : layers) {
    all.on.push_back(layer.on.at(0));
    all.off_since.push_back(layer.off_since.at(0));
    if (!layer.importance.empty()) all.importance.push_back(layer.importance.at(0));
  }
  return {all};
}

/// Each group of a layer's experts is a layer to the policy, so that all lose as many.
std::vector<nn::PruneUnits> by_group(const std::vector<nn::PruneUnits>& layers) {
  std::vector<nn::PruneUnits> groups;
  for (const nn::PruneUnits& layer : layers) {
    for (size_t u = 0; u < layer.on.size(); ++u) {
      if (u == 0 || (!layer.groups.empty() && layer.groups[u] != layer.groups[u - 1])) {
        groups.emplace_back();
      }
      groups.back().on.push_back(layer.on[u]);
      groups.back().off_since.push_back(layer.off_since[u]);
      if (!layer.importance.empty()) groups.back().importance.push_back(layer.importance[u]);
    }
  }
  return groups;
}

void prune_experts(const nn::PruneOptions& options, int64_t step,
                   std::vector<nn::PruneUnits>& layers) {
  std::vector<nn::PruneUnits> groups = by_group(layers);
  nn::prune(options, step, groups);
  auto group = groups.begin();
  size_t place = 0;
  for (nn::PruneUnits& layer : layers) {
    for (size_t u = 0; u < layer.on.size(); ++u) {
      layer.on[u] = group->on[place];
      layer.off_since[u] = group->off_since[place];
      if (++place < group->on.size()) continue;
      ++group;
      place = 0;
    }
  }
}

/// nn::prune on the layers of a kind.
void prune(UnitKind kind, const nn::PruneOptions& options, int64_t step,
           std::vector<nn::PruneUnits>& layers) {
  if (kind == UnitKind::kExperts) return prune_experts(options, step, layers);
  if (kind != UnitKind::kLayers) return nn::prune(options, step, layers);
  std::vector<nn::PruneUnits> one = as_one(layers);
  nn::prune(options, step, one);
  for (size_t i = 0; i < layers.size(); ++i) {
    layers[i].on = {one[0].on[i]};
    layers[i].off_since = {one[0].off_since[i]};
  }
}

}  // namespace

void ExpertPruningOptions::validate(Validation& v) const {
  schedule().validate(v);
  if (merge && rule == ExpertRule::kRandom) {
    v.problem("merge", "weighs experts by their mass: take the rule routed_mass");
  }
}

nn::PruneOptions ExpertPruningOptions::schedule() const {
  const bool random = rule == ExpertRule::kRandom;
  return {.importance = nn::Importance::kOutputNorm,  // of a routing weight: itself
          .rule = random ? nn::PruneRule::kRandom : nn::PruneRule::kQuantile,
          .scope = nn::PruneScope::kLayer,
          .target = target,
          .start = start,
          .end = end,
          .every = every,
          .seed = seed};
}

void PruningOptions::validate(Validation& v) const {
  if (!enabled) {
    for (const char* key : {"heads", "channels", "experts", "layers", "cut"}) {
      v.no_effect(key, "unless enabled");
    }
  } else if (kinds().empty()) {
    v.problem("enabled", "prunes nothing: give heads, channels, experts or layers");
  }
}

std::map<UnitKind, nn::PruneOptions> PruningOptions::kinds() const {
  std::map<UnitKind, nn::PruneOptions> kinds;
  if (heads) kinds[UnitKind::kHeads] = *heads;
  if (channels) kinds[UnitKind::kChannels] = *channels;
  if (experts) kinds[UnitKind::kExperts] = experts->schedule();
  if (layers) kinds[UnitKind::kLayers] = *layers;
  return kinds;
}

// --- the decoder ---

PrunedDecoder::PrunedDecoder(model::Decoder& decoder, optim::Optimizer& optimizer,
                             train::Knobs& knobs)
    : decoder_(decoder), optimizer_(optimizer) {
  for (const auto& named : EnumNames<UnitKind>::values) {
    const UnitKind kind = named.first;
    knobs.add(named.second, {[this, kind] { return masks_json(masks_of(decoder_, kind)); },
                             [this, kind](const Json& value) {
                               model::add_gates(decoder_, {kind});
                               model::set_masks(decoder_, kind, masks_from_json(value));
                             }});
  }
  knobs.add("merged_experts", {[] { return nullptr; },
                               [this](const Json& value) {
                                 model::merge_experts(decoder_, model::merges_from_json(value));
                               }});
  knobs.add("cut", {[] { return nullptr; },
                    [this](const Json& value) {
                      const auto kind = enum_from_name<UnitKind>(value.get<std::string>());
                      if (!kind)
                        throw Error("the knob cut must be heads, channels, experts or layers");
                      cut(*kind);
                    }});
}

void PrunedDecoder::cut(UnitKind kind) { follow(optimizer_, model::cut(decoder_, kind)); }

bool PrunedDecoder::cut_all() {
  bool any = false;
  for (const auto& [kind, name] : EnumNames<UnitKind>::values) {
    for (const auto& [layer, on] : masks_of(decoder_, kind)) {
      if (alive(on) == static_cast<int64_t>(on.size())) continue;
      cut(kind);
      any = true;
      break;
    }
  }
  return any;
}

Json PrunedDecoder::state() const {
  return {{"left", model::pruned_json(decoder_->config().pruned)},
          {"gates", model::gates_json(decoder_)}};
}

void PrunedDecoder::restore(const Json& state) {
  const auto left = model::pruned_from_json(state.at("left"), decoder_->config(), "the checkpoint");
  if (!left.empty()) follow(optimizer_, model::cut_to(decoder_, left));
  model::restore_gates(decoder_, state.at("gates"));
}

Json PrunedDecoder::measure(train::Signals& signals, bool with_importance) const {
  Json row = Json::object();
  if (!model::has_gates(decoder_, UnitKind::kHeads)) return row;
  for (const auto& [layer, on] : model::masks(decoder_, UnitKind::kHeads)) {
    const std::string name = std::to_string(layer);
    row["heads_alive"][name] = alive(on);
    signals.set("heads_alive/" + name, static_cast<double>(alive(on)));
  }
  const nn::Gate& gate = decoder_->layers.front()->self_attn->gate;
  if (!with_importance || !gate->measured() || gate->batches() == 0) return row;
  for (const auto& [layer, values] : model::importances(decoder_, UnitKind::kHeads)) {
    row["head_importance"][std::to_string(layer)] = values;
  }
  return row;
}

// --- the controller ---

Pruning::Pruning(const PruningOptions& options, model::Decoder* decoder)
    : options_(options), decoder_(decoder) {
  if (!decoder_) return;
  for (const auto& [kind, prune] : options_.kinds()) {
    try {
      if (kind == UnitKind::kExperts) {
        check_experts(prune);
      } else {
        nn::check_target(prune, kind == UnitKind::kLayers ? as_one(units(kind)) : units(kind));
      }
    } catch (const Error& error) {
      throw ConfigError({{"/controllers/pruning/" + enum_name(kind), error.what()}});
    }
    model::add_gates(*decoder_, {kind});
  }
}

void Pruning::check_experts(const nn::PruneOptions& options) const {
  const std::vector<nn::PruneUnits> groups = by_group(units(UnitKind::kExperts));
  if (groups.empty()) throw Error("the model has none");
  if (options_.experts->merge && c10::elementSize((*decoder_)->dtype()) < sizeof(float)) {
    throw Error("merge needs weights in float32, which the optimiser steps themselves");
  }
  const model::DecoderConfig& config = (*decoder_)->config();
  const int64_t layer = model::units(*decoder_, UnitKind::kExperts).front().layer;
  const int64_t least = config.model_type->experts(config, layer).least;
  const int64_t size = std::ssize(groups.front().on);
  const auto gone = std::llround(options.target * static_cast<double>(size));
  if (gone == 0 || size - gone < least) {
    throw Error(fmt::format(
        "target {} takes {} of the {} experts of a group, of which 1 or more must go and {} stay "
        "to choose from",
        options.target, gone, size, least));
  }
}

void Pruning::begin(int64_t) {
  for (const auto& [kind, prune] : options_.kinds()) {
    if (prune.rule != nn::PruneRule::kRandom) model::measure(*decoder_, kind, prune.importance);
  }
}

std::vector<std::string> Pruning::owns() const {
  std::vector<std::string> knobs = {"cut"};
  if (options_.experts && options_.experts->merge) knobs.emplace_back("merged_experts");
  for (const auto& [kind, prune] : options_.kinds()) knobs.push_back(enum_name(kind));
  return knobs;
}

std::vector<nn::PruneUnits> Pruning::units(UnitKind kind) const {
  const model::Masks masks = masks_of(*decoder_, kind);
  const auto since = off_since_.find(kind);
  std::vector<nn::PruneUnits> layers;
  for (const model::LayerUnits& layer : model::units(*decoder_, kind)) {
    nn::PruneUnits units{.on = masks.at(layer.layer), .groups = layer.groups};
    units.off_since.assign(units.on.size(), -1);
    if (since != off_since_.end()) units.off_since = since->second.at(layer.layer);
    layers.push_back(std::move(units));
  }
  return layers;
}

void Pruning::decide(UnitKind kind, const nn::PruneOptions& options, int64_t step,
                     train::KnobSetter& adjuster) {
  std::vector<nn::PruneUnits> layers = units(kind);
  const std::vector<model::LayerUnits> present = model::units(*decoder_, kind);
  const bool random = options.rule == nn::PruneRule::kRandom;
  if (!random) {
    const model::Importances importances = model::importances(*decoder_, kind);
    for (size_t i = 0; i < layers.size(); ++i) {
      layers[i].importance = importances.at(present[i].layer);
    }
  }
  prune(kind, options, step, layers);
  model::Masks masks;
  Layers& off_since = off_since_[kind];
  int64_t on = 0, all = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    masks[present[i].layer] = layers[i].on;
    off_since[present[i].layer] = layers[i].off_since;
    on += alive(layers[i].on);
    all += std::ssize(layers[i].on);
  }
  const bool experts = kind == UnitKind::kExperts;
  if (experts && options_.experts->merge) {
    const auto merges = model::plan_merges(*decoder_, model::importances(*decoder_, kind), masks);
    if (!merges.empty()) {
      adjuster.set("merged_experts", model::merges_json(merges), "into those most like them");
    }
  }
  const std::string measure = experts ? "routed mass" : enum_name(options.importance);
  adjuster.set(enum_name(kind), masks_json(masks),
               fmt::format("{} of {} {} stay on, by {}", on, all, enum_name(kind),
                           random ? "chance" : measure));
  if (!random) model::reset_importances(*decoder_, kind);
  if (step < options.end) return;
  model::measure(*decoder_, kind, std::nullopt);
  off_since_.erase(kind);
  if (options_.cut) adjuster.set("cut", enum_name(kind), "the schedule has ended");
}

void Pruning::after_step(int64_t step, const train::Signals&, train::KnobSetter& adjuster) {
  for (const auto& [kind, prune] : options_.kinds()) {
    if (nn::prune_due(prune, step)) decide(kind, prune, step, adjuster);
  }
}

Json Pruning::state() const {
  Json kinds = Json::object();
  for (const auto& [kind, layers] : off_since_) {
    Json& list = kinds[enum_name(kind)] = Json::object();
    for (const auto& [layer, steps] : layers) list[std::to_string(layer)] = steps;
  }
  return kinds;
}

void Pruning::restore(const Json& state) {
  off_since_.clear();
  for (const auto& [name, layers] : state.items()) {
    Layers& off_since = off_since_[enum_from_name<UnitKind>(name).value()];
    for (const auto& [layer, steps] : layers.items()) {
      off_since[std::stoll(layer)] = steps.get<std::vector<int64_t>>();
    }
  }
}

}  // namespace hone::run
