#include "hone/model/pruned/selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "hone/core/error.h"

namespace hone::model {
namespace {

/// The places of the `count` largest, largest first.
std::vector<size_t> largest(const std::vector<double>& values, int64_t count) {
  std::vector<size_t> places(values.size());
  std::iota(places.begin(), places.end(), 0);
  std::stable_sort(places.begin(), places.end(),
                   [&](size_t a, size_t b) { return values[a] > values[b]; });
  places.resize(static_cast<size_t>(count));
  return places;
}

void check_count(int64_t count, int64_t have, const char* what) {
  if (count < 1 || count > have) {
    throw Error(fmt::format("pruning: {} {} cannot stay of {}", count, what, have));
  }
}

/// Throws: hone::Error where the fixed layers are more than `count`.
void check_layers(const Decoder& decoder, int64_t count, const FixedLayers& fixed) {
  const int64_t have = std::ssize(decoder->layers);
  check_count(count, have, "layers");
  if (count < have && fixed.first + fixed.last > count) {
    throw Error(
        fmt::format("pruning: {} layers cannot stay of {} where the first {} and the last "
                    "{} must",
                    count, have, fixed.first, fixed.last));
  }
}

bool may_go(size_t place, size_t layers, const FixedLayers& fixed) {
  return static_cast<int64_t>(place) >= fixed.first &&
         static_cast<int64_t>(layers - place) > fixed.last;
}

}  // namespace

Masks strongest_layers(const Decoder& decoder, const std::vector<double>& importances,
                       int64_t count, const FixedLayers& fixed) {
  check_layers(decoder, count, fixed);
  const size_t layers = decoder->layers.size();
  std::vector<double> worth(layers);
  for (size_t i = 0; i < layers; ++i)
    worth[i] = may_go(i, layers, fixed) ? importances.at(i) : INFINITY;
  const std::vector<int64_t> numbers = layer_numbers(decoder->config());
  Masks masks;
  for (const int64_t number : numbers) masks[number] = {false};
  for (const size_t place : largest(worth, count)) masks[numbers[place]] = {true};
  return masks;
}

Masks cheapest_layers_off(Decoder& decoder, int64_t count, const FixedLayers& fixed,
                          const std::function<double()>& loss) {
  check_layers(decoder, count, fixed);
  const std::vector<int64_t> numbers = layer_numbers(decoder->config());
  for (int64_t left = std::ssize(numbers); left > count; --left) {
    const Masks now = masks(decoder, UnitKind::kLayers);
    double best = INFINITY;
    Masks chosen;
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (!may_go(i, numbers.size(), fixed) || !now.at(numbers[i])[0]) continue;
      Masks tried = now;
      tried[numbers[i]] = {false};
      set_masks(decoder, UnitKind::kLayers, tried);
      const double cost = loss();
      if (chosen.empty() || cost < best) {
        best = cost;
        chosen = std::move(tried);
      }
    }
    set_masks(decoder, UnitKind::kLayers, chosen);
  }
  return masks(decoder, UnitKind::kLayers);
}

Masks strongest_heads(const Decoder& decoder, const Importances& importances, int64_t kv_heads,
                      int64_t heads) {
  check_count(kv_heads, heads, "key heads");
  if (heads % kv_heads != 0) {
    throw Error(fmt::format("pruning: {} query heads cannot be shared out among {} key heads",
                            heads, kv_heads));
  }
  Masks masks;
  for (const LayerUnits& layer : units(decoder, UnitKind::kHeads)) {
    const std::vector<double>& worth = importances.at(layer.layer);
    std::vector<double> groups(static_cast<size_t>(layer.groups.back()) + 1);
    for (size_t head = 0; head < worth.size(); ++head) groups[layer.groups[head]] += worth[head];
    check_count(kv_heads, std::ssize(groups), "key heads");
    std::vector<bool>& mask = masks[layer.layer] = std::vector<bool>(worth.size());
    for (const size_t group : largest(groups, kv_heads)) {
      std::vector<size_t> members;
      std::vector<double> own;
      for (size_t head = 0; head < worth.size(); ++head) {
        if (layer.groups[head] != static_cast<int64_t>(group)) continue;
        members.push_back(head);
        own.push_back(worth[head]);
      }
      check_count(heads / kv_heads, std::ssize(own), "query heads of a key head");
      for (const size_t place : largest(own, heads / kv_heads)) mask[members[place]] = true;
    }
  }
  return masks;
}

Masks strongest_channels(const Importances& importances, int64_t count) {
  Masks masks;
  for (const auto& [layer, worth] : importances) {
    check_count(count, std::ssize(worth), "channels");
    std::vector<bool>& mask = masks[layer] = std::vector<bool>(worth.size());
    for (const size_t place : largest(worth, count)) mask[place] = true;
  }
  return masks;
}

}  // namespace hone::model
