#include "hone/model/pruned/merging.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "hone/core/error.h"
#include "hone/nn/anatomy.h"
#include "hone/nn/moe.h"

namespace hone::model {
namespace {

std::map<int64_t, nn::MoeImpl*> layers_with_experts(const Decoder& decoder) {
  std::map<int64_t, nn::MoeImpl*> layers;
  const std::vector<int64_t> numbers = layer_numbers(decoder->config());
  for (size_t i = 0; i < numbers.size(); ++i) {
    auto* moe = dynamic_cast<nn::MoeImpl*>(decoder->layers[i]->mlp.ptr().get());
    if (moe) layers.emplace(numbers[i], moe);
  }
  return layers;
}

void check(const std::map<int64_t, nn::MoeImpl*>& layers, const ExpertMerges& merges) {
  for (const auto& [layer, list] : merges) {
    const auto found = layers.find(layer);
    if (found == layers.end()) {
      throw Error(fmt::format("merge_experts: layer {} is not there or has no experts", layer));
    }
    if (nn::numel(*found->second->experts, nn::Role::kAdapter) > 0) {
      throw Error(fmt::format(
          "merge_experts: the experts of layer {} carry adapters; merge those first", layer));
    }
    std::map<int64_t, double> shares;  // of what comes, by where it goes
    const int64_t experts = found->second->units();
    for (const nn::ExpertMerge& merge : list) {
      const bool known = merge.from >= 0 && merge.from < experts && merge.into >= 0 &&
                         merge.into < experts && merge.from != merge.into;
      if (!known || !(merge.share >= 0) || !((shares[merge.into] += merge.share) <= 1 + 1e-9)) {
        throw Error(fmt::format(
            "merge_experts: expert {} cannot go into {} of layer {}'s {} with a share of {}",
            merge.from, merge.into, layer, experts, merge.share));
      }
    }
  }
}

}  // namespace

ExpertMerges plan_merges(const Decoder& decoder, const Importances& masses, const Masks& after) {
  const auto layers = layers_with_experts(decoder);
  const Masks before = masks(decoder, UnitKind::kExperts);
  ExpertMerges merges;
  for (const auto& [layer, mask] : after) {
    auto plan =
        nn::plan_merges(layers.at(layer)->router->weight, masses.at(layer), before.at(layer), mask);
    if (!plan.empty()) merges.emplace(layer, std::move(plan));
  }
  return merges;
}

void merge_experts(Decoder& decoder, const ExpertMerges& merges) {
  const auto layers = layers_with_experts(decoder);
  check(layers, merges);
  for (const auto& [layer, list] : merges) nn::merge_experts(layers.at(layer)->experts, list);
}

Json merges_json(const ExpertMerges& merges) {
  Json json = Json::object();
  for (const auto& [layer, list] : merges) {
    Json& lists = json[std::to_string(layer)] = Json::array();
    for (const nn::ExpertMerge& merge : list) {
      lists.push_back({merge.from, merge.into, merge.share});
    }
  }
  return json;
}

ExpertMerges merges_from_json(const Json& json) {
  ExpertMerges merges;
  for (const auto& [layer, lists] : json.items()) {
    std::vector<nn::ExpertMerge>& list = merges[std::stoll(layer)];
    for (const Json& merge : lists) {
      list.push_back(
          {merge.at(0).get<int64_t>(), merge.at(1).get<int64_t>(), merge.at(2).get<double>()});
    }
  }
  return merges;
}

}  // namespace hone::model
