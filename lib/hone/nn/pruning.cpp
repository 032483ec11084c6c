#include "hone/nn/pruning.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/random.h"

namespace hone::nn {
namespace {

/// What goes off as one: a unit, or a group of them.
struct Piece {
  size_t layer = 0;
  std::vector<size_t> units;
  double importance = 0;
  bool on = false;      // any unit of it
  bool locked = false;  // off for less than the recovery
};

double mean(const std::vector<Piece>& pieces) {
  double sum = 0;
  for (const Piece& piece : pieces) sum += piece.importance;
  return sum / static_cast<double>(pieces.size());
}

/// The units of layer `index` in pieces, without their importance.
std::vector<Piece> pieces_of(const PruneOptions& options, int64_t step, size_t index,
                             const PruneUnits& layer) {
  std::vector<Piece> pieces;
  for (size_t u = 0; u < layer.on.size(); ++u) {
    const bool joins = options.whole_groups && u > 0 && !layer.groups.empty() &&
                       layer.groups[u] == layer.groups[u - 1];
    if (!joins) pieces.push_back({index});
    Piece& piece = pieces.back();
    piece.units.push_back(u);
    piece.on = piece.on || layer.on[u];
    const int64_t since = layer.off_since[u];
    if (!layer.on[u] && step - (since < 0 ? step : since) < options.recovery) piece.locked = true;
  }
  for (Piece& piece : pieces) piece.locked = piece.locked && !piece.on;
  return pieces;
}

/// Gives the layer's pieces the means of their units' importance.
void weigh(const PruneOptions& options, const PruneUnits& layer, std::vector<Piece>& pieces) {
  if (options.rule == PruneRule::kRandom) {
    const size_t index = pieces.front().layer;
    Random random(derive_seed(static_cast<uint64_t>(options.seed), fmt::format("prune/{}", index)));
    for (Piece& piece : pieces) piece.importance = random.uniform();
    return;
  }
  double squares = 0;
  for (const double value : layer.importance) squares += value * value;
  const bool divides = options.normalise && options.scope == PruneScope::kGlobal && squares > 0;
  const double norm = divides ? std::sqrt(squares) : 1;
  for (Piece& piece : pieces) {
    for (const size_t u : piece.units) piece.importance += layer.importance[u] / norm;
    piece.importance /= static_cast<double>(piece.units.size());
  }
}

/// How many of `present` pieces, of which `cut` more are gone, must be off at the share.
int64_t count_off(double share, int64_t present, int64_t cut) {
  return std::max<int64_t>(0, std::llround(share * static_cast<double>(present + cut)) - cut);
}

/// Turns `pieces` on or off: those of one layer, or all.
void decide(const PruneOptions& options, int64_t step, int64_t cut, std::vector<Piece> pieces,
            std::vector<PruneUnits>& layers) {
  const double highest =
      options.rule == PruneRule::kMean ? mean(pieces) : std::numeric_limits<double>::infinity();
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    return std::tuple(!a.locked, a.importance, a.on) < std::tuple(!b.locked, b.importance, b.on);
  });
  std::vector<int64_t> left(layers.size());
  for (const Piece& piece : pieces) ++left[piece.layer];
  int64_t to_go = count_off(pruned_share(options, step), std::ssize(pieces), cut);
  for (const Piece& piece : pieces) {
    const bool low = piece.locked || piece.importance < highest;
    const bool off = to_go > 0 && low && left[piece.layer] > options.min_left;
    if (off) {
      --to_go;
      --left[piece.layer];
    }
    PruneUnits& layer = layers[piece.layer];
    for (const size_t u : piece.units) {
      const bool stays = !layer.on[u] && layer.off_since[u] >= 0;
      layer.off_since[u] = !off ? -1 : stays ? layer.off_since[u] : step;
      layer.on[u] = !off;
    }
  }
}

void check_lengths(const PruneOptions& options, std::vector<PruneUnits>& layers) {
  for (size_t l = 0; l < layers.size(); ++l) {
    PruneUnits& layer = layers[l];
    const size_t units = layer.on.size();
    if (layer.off_since.empty()) layer.off_since.assign(units, -1);
    const bool measured = options.rule == PruneRule::kRandom || layer.importance.size() == units;
    TORCH_CHECK_VALUE(units > 0 && measured && layer.off_since.size() == units &&
                          (layer.groups.empty() || layer.groups.size() == units),
                      "prune: layer ", l, " must have importance, groups and off_since of its ",
                      units, " units");
    if (options.rule == PruneRule::kRandom) continue;
    for (size_t u = 0; u < units; ++u) {
      if (std::isfinite(layer.importance[u])) continue;
      throw Error(fmt::format("prune: the importance of unit {} of layer {} is {}", u, l,
                              layer.importance[u]));
    }
  }
}

}  // namespace

void PruneOptions::validate(Validation& v) const {
  if (end < start) {
    v.problem("end", fmt::format("must be at or after start = {}, got {}", start, end));
  }
  if (!(target > 0 && target < 1)) {
    v.problem("target", fmt::format("must be above 0 and below 1, got {}", target));
  }
  if (rule == PruneRule::kRandom) {
    v.no_effect("importance", "with the rule random");
    v.no_effect("normalise", "with the rule random");
  } else {
    v.no_effect("seed", "without the rule random");
    if (scope == PruneScope::kLayer) v.no_effect("normalise", "with the scope layer");
  }
}

double pruned_share(const PruneOptions& options, int64_t step) {
  if (step < options.start) return 0;
  if (step >= options.end) return options.target;
  const double past =
      static_cast<double>(step - options.start) / static_cast<double>(options.end - options.start);
  return options.target * (1 - std::pow(1 - past, 3));
}

bool prune_due(const PruneOptions& options, int64_t step) {
  if (step < options.start || step > options.end) return false;
  return step == options.end || (step - options.start) % options.every == 0;
}

void prune(const PruneOptions& options, int64_t step, std::vector<PruneUnits>& layers) {
  check_lengths(options, layers);
  std::vector<Piece> all;
  int64_t cut = 0;
  for (size_t l = 0; l < layers.size(); ++l) {
    std::vector<Piece> pieces = pieces_of(options, step, l, layers[l]);
    weigh(options, layers[l], pieces);
    if (options.scope == PruneScope::kLayer) {
      decide(options, step, layers[l].cut, std::move(pieces), layers);
      continue;
    }
    cut += layers[l].cut;
    all.insert(all.end(), pieces.begin(), pieces.end());
  }
  if (options.scope == PruneScope::kGlobal) decide(options, step, cut, std::move(all), layers);
}

void check_target(const PruneOptions& options, const std::vector<PruneUnits>& layers) {
  const char* kind = options.whole_groups ? "groups" : "units";
  const auto check = [&](const std::string& where, int64_t present, int64_t cut, int64_t most) {
    const int64_t wanted = count_off(options.target, present, cut);
    if (wanted > most) {
      throw Error(fmt::format(
          "pruning: target {} of the {} {} {} asks for {} to go, but min_left = {} lets only {} "
          "go; lower target or min_left",
          options.target, present + cut, kind, where, wanted, options.min_left, most));
    }
    if (wanted == 0 && cut == 0) {
      throw Error(fmt::format("pruning: target {} of the {} {} {} is none when rounded; raise it",
                              options.target, present, kind, where));
    }
  };
  int64_t present = 0, cut = 0, most = 0;
  for (size_t l = 0; l < layers.size(); ++l) {
    PruneUnits layer = layers[l];
    layer.off_since.assign(layer.on.size(), -1);
    const int64_t own = std::ssize(pieces_of(options, 0, l, layer));
    const int64_t may_go = std::max<int64_t>(0, own - options.min_left);
    if (options.scope == PruneScope::kLayer) {
      check(fmt::format("of layer {}", l), own, layer.cut, may_go);
    }
    present += own;
    cut += layer.cut;
    most += may_go;
  }
  if (options.scope == PruneScope::kGlobal) check("of all layers", present, cut, most);
}

}  // namespace hone::nn
