/// How a recipe lets layers share their query and key projections.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/model/sharing/groups.h"

namespace hone::run {

/// What layers share.
enum class Shared { kWeights, kKeys, kProbabilities };

/// The recipe's `sharing`.
struct SharingOptions {
  Shared what = Shared::kWeights;
  model::LayerGroups layers;
  int64_t pairs = 0;
  int64_t calibration_tokens = 8192;
  model::SharedStart start = model::SharedStart::kAligned;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("what", self.what,
      "weights: one q_proj and k_proj for the layers of a group. keys and probabilities would need "
      "models that no other program loads, and are refused.");
    v("layers", self.layers,
      "Groups of layers, by their numbers from 0: [[4, 5], [6, 7]]; empty: pairs are chosen.");
    v("pairs", self.pairs,
      "Pairs of neighbours that are chosen: those that change the model least, each measured alone "
      "by the divergence of its next tokens on held-out text; never the first two layers and the "
      "last. Only without layers.",
      Range{0, 10000});
    v("calibration_tokens", self.calibration_tokens,
      "Tokens that this is measured on, of data.held_out, or of data.train without it.",
      Range{1, 1e9});
    v("start", self.start,
      "What a group's projections begin as: aligned, the pair whose attention scores are nearest "
      "the mean of the layers'; mean, the mean of their weights.");
  }
  void validate(Validation& v) const;
};

}  // namespace hone::run

template <>
struct hone::EnumNames<hone::run::Shared> {
  static constexpr std::pair<run::Shared, const char*> values[] = {
      {run::Shared::kWeights, "weights"},
      {run::Shared::kKeys, "keys"},
      {run::Shared::kProbabilities, "probabilities"}};
};
