#include "hone/train/controllers/knobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <set>

#include "hone/core/error.h"

namespace hone::train {
namespace {

constexpr const char* kStop = "stop";
constexpr const char* kSnapshot = "snapshot";
constexpr const char* kRollback = "rollback";
constexpr const char* kDomainWeights = "domain_weights";
constexpr const char* kMixWeights = "mix_weights";
constexpr const char* kFrozenLayers = "frozen_layers";
constexpr const char* kMergedExperts = "merged_experts";
constexpr const char* kCut = "cut";

std::string number_problem(const KnobInfo& knob, const Json& value) {
  if (!value.is_number()) return "must be a number";
  const auto number = value.get<double>();
  const auto [low, high] = *knob.range;
  if (!(number >= low && number <= high)) return fmt::format("must be in [{}, {}]", low, high);
  return knob.whole && number != std::floor(number) ? "must be a whole number" : "";
}

/// Of numbers by name.
std::string weights_problem(const Json& value) {
  constexpr const char* kWanted = "must be an object of numbers that are not negative, by name";
  if (!value.is_object() || value.empty()) return kWanted;
  for (const auto& [name, weight] : value.items()) {
    if (!weight.is_number() || !(weight.get<double>() >= 0)) return kWanted;
  }
  return "";
}

std::string layers_problem(const Json& value) {
  constexpr const char* kWanted = "must be a list of different layers by their numbers";
  if (!value.is_array()) return kWanted;
  std::set<int64_t> layers;
  for (const Json& layer : value) {
    if (!layer.is_number_integer() || layer.get<int64_t>() < 0) return kWanted;
    if (!layers.insert(layer.get<int64_t>()).second) return kWanted;
  }
  return "";
}

/// Whether it is an object of lists by a layer's number.
bool lists_by_layer(const Json& value) {
  if (!value.is_object() || value.empty()) return false;
  for (const auto& [layer, list] : value.items()) {
    const bool number = !layer.empty() && layer.size() < 10 &&
                        layer.find_first_not_of("0123456789") == std::string::npos;
    if (!number || !list.is_array()) return false;
  }
  return true;
}

std::string merges_problem(const Json& value) {
  constexpr const char* kWanted =
      "must be an object of lists of [from, into, share] by a layer's number";
  if (!lists_by_layer(value)) return kWanted;
  for (const Json& list : value) {
    for (const Json& merge : list) {
      const bool numbers = merge.is_array() && merge.size() == 3 && merge[0].is_number_integer() &&
                           merge[1].is_number_integer() && merge[2].is_number();
      if (!numbers) return kWanted;
    }
  }
  return "";
}

std::string masks_problem(const Json& value) {
  constexpr const char* kWanted = "must be an object of lists of 0 and 1 by a layer's number";
  if (!lists_by_layer(value)) return kWanted;
  for (const auto& [layer, units] : value.items()) {
    for (const Json& unit : units) {
      if (unit != 0 && unit != 1) return kWanted;
    }
  }
  return "";
}

}  // namespace

const Knob& Knobs::find(const std::string& name) const {
  const auto found = knobs_.find(name);
  if (found == knobs_.end()) throw Error("this run has no knob " + name);
  return found->second;
}

void Knobs::set(const std::string& name, const Json& value) const {
  const Knob& knob = find(name);
  try {
    knob.set(value);
  } catch (const Json::exception&) {
    throw Error("the knob " + name + " cannot be " + value.dump() + ", it is now " +
                knob.get().dump());
  }
}

const std::vector<KnobInfo>& all_knobs() {
  static const std::vector<KnobInfo> list = {
      {"lr_scale", "factor on the schedule's learning rate", Range{0, 1e6}},
      {"accumulation", "batches whose gradients a step sums", Range{1, 1e6}, true},
      {"weight_decay", "AdamW decay of matrices", Range{0, 1}},
      {"clip_norm", "largest global norm of the gradient; 0 clips nothing", Range{0, 1e9}},
      {kStop, "true ends the run after this step"},
      {kSnapshot, "a name: weights and optimiser state are kept under it"},
      {kRollback, "a name: weights and optimiser state become those of that snapshot"},
      {"dropout",
       "of the adapter's input; in full tuning of what attention and MLP add to the stream",
       Range{0, 0.999}},
      {kDomainWeights, "loss weight of each domain by name"},
      {kMixWeights, "factor on the share of each data set by name"},
      {"augmentation_rate", "share of the drawn documents that are augmented", Range{0, 1}},
      {"neftune_alpha", "size of the noise on the embeddings", Range{0, 1000}},
      {"expert_bias_rate", "what a step moves the bias of an expert by", Range{0, 1}},
      {"multi_token_weight", "factor of the loss of layers for multi-token prediction",
       Range{0, 100}},
      {kFrozenLayers, "list of the layers that do not train"},
      {"checkpoint_every", "recompute every k-th block in the backward pass; 0 none",
       Range{0, 1000}, true},
      {"heads", "attention heads that are on: an object of lists of 0 and 1 by layer"},
      {"channels", "MLP channels that are on, likewise"},
      {"experts", "routed experts that are on, likewise"},
      {"layers", "layers that are on, likewise"},
      {kMergedExperts, "experts worked into others: lists of [from, into, share] by layer"},
      {kCut, "\"heads\", \"channels\", \"experts\" or \"layers\": what is off is removed for good"},
  };
  return list;
}

const KnobInfo* find_knob(std::string_view name) {
  const auto& list = all_knobs();
  const auto found = std::find_if(list.begin(), list.end(),
                                  [&](const KnobInfo& knob) { return name == knob.name; });
  return found == list.end() ? nullptr : &*found;
}

std::string knob_problem(const KnobInfo& knob, const Json& value) {
  const std::string_view name = knob.name;
  if (knob.range) return number_problem(knob, value);
  if (name == kStop) return value == true ? "" : "must be true";
  if (name == kSnapshot || name == kRollback) return value.is_string() ? "" : "must be a name";
  if (name == kCut) {
    const bool kind =
        value == "heads" || value == "channels" || value == "experts" || value == "layers";
    return kind ? "" : "must be heads, channels, experts or layers";
  }
  if (name == kDomainWeights || name == kMixWeights) return weights_problem(value);
  if (name == kFrozenLayers) return layers_problem(value);
  if (name == kMergedExperts) return merges_problem(value);
  return masks_problem(value);
}

}  // namespace hone::train
