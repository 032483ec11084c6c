/// How a recipe cuts a smaller model out of its base.
#pragma once
#include <cstdint>
#include <optional>
#include <utility>

#include "hone/core/field.h"
#include "hone/core/names.h"

namespace hone::run {

/// Which directions of the residual stream a narrower model keeps.
enum class KeptWidth { kPrincipal, kChannels };

/// The recipe's `student`. Sizes by the names of config.json; absent: as the base has it.
struct StudentOptions {
  std::optional<int64_t> num_hidden_layers, num_attention_heads, num_key_value_heads;
  std::optional<int64_t> intermediate_size, hidden_size;
  KeptWidth width = KeptWidth::kPrincipal;
  bool keep_tied = false;
  int64_t calibration_tokens = 16384;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("num_hidden_layers", self.num_hidden_layers,
      "Blocks that stay: those that change the residual stream most, the first two and the last in "
      "any case.",
      Range{1, 1000});
    v("num_attention_heads", self.num_attention_heads,
      "Query heads of a block that stay, as many of each key head.", Range{1, 1024});
    v("num_key_value_heads", self.num_key_value_heads, "Key heads of a block that stay.",
      Range{1, 1024});
    v("intermediate_size", self.intermediate_size, "Channels of a block's MLP that stay.",
      Range{1, 1048576});
    v("hidden_size", self.hidden_size, "Width of the residual stream that stays.", Range{1, 65536});
    v("width", self.width,
      "What of the residual stream stays: its principal directions, or its strongest channels.");
    v("keep_tied", self.keep_tied,
      "Keeps a head tied that is the embedding, where principal directions would part them.");
    v("calibration_tokens", self.calibration_tokens,
      "Tokens of the training text by which it is chosen what stays.", Range{1, 1e9});
  }
  void validate(Validation& v) const;
};

}  // namespace hone::run

template <>
struct hone::EnumNames<hone::run::KeptWidth> {
  static constexpr std::pair<run::KeptWidth, const char*> values[] = {
      {run::KeptWidth::kPrincipal, "principal"}, {run::KeptWidth::kChannels, "channels"}};
};
