/// The adapter of a recipe.
#pragma once
#include <optional>
#include <string>

#include "hone/nn/lora.h"

namespace hone::run {

/// A new adapter with these options; or one that exists, trained on or worked into the base first.
struct LoraRecipe : nn::LoraOptions {
  std::optional<std::string> from;
  bool merge_first = false;

  /// Whether the adapter `from` itself is trained on.
  bool continues() const { return from && !merge_first; }

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("from", self.from,
      "PEFT adapter folder to begin with. It is trained on with its own options, unless "
      "merge_first.");
    v("merge_first", self.merge_first,
      "Work the adapter `from` into the base, then train a new one (or, with tuning full, all "
      "weights).");
    nn::LoraOptions::visit(self, v);
  }
  void validate(Validation& v) const;
};

}  // namespace hone::run
