/// How a recipe rounds a model's linear layers to integers.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/nn/quantisation.h"

namespace hone::run {

/// Bits of weights, then of the inputs that meet them: 16 are numbers.
enum class Scheme { kW8A8, kW8A16, kW4A16 };
/// What a run writes of a model that was trained rounded.
enum class SavedForm { kIntegers, kNumbers };

/// The recipe's `quantisation`.
struct QuantisationOptions {
  Scheme scheme = Scheme::kW8A8;
  std::optional<int64_t> group;
  std::vector<std::string> ignore;
  double start = 0;
  SavedForm save = SavedForm::kIntegers;
  std::optional<double> smooth;
  bool sensitivity = false;
  int64_t calibration_tokens = 8192;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("scheme", self.scheme,
      "Of the blocks' linear layers: w8a8, weights and their inputs as 8-bit integers; w8a16 and "
      "w4a16, weights alone, as 8 or 4 bits.");
    v("group", self.group,
      "Columns of a weight that share a scale, of w8a16 and w4a16; absent: 128 for 4 bits, a whole "
      "row for 8.",
      Range{1, 1 << 20});
    v("ignore", self.ignore,
      "Linear layers that stay numbers, by their names (model.layers.0.mlp.down_proj) or patterns "
      "of names (re:.*down_proj).");
    v("start", self.start, "Share of the steps that train in float before rounding begins.",
      Range{0, 0.99});
    v("save", self.save,
      "integers, as compressed-tensors has them, which vLLM and transformers load; numbers, those "
      "that were rounded in training.");
    v("smooth", self.smooth,
      "Moves outliers of the layers' inputs into their weights before anything is rounded "
      "(SmoothQuant), by this power of the inputs' ranges; 0.5 is usual. Only in full tuning.",
      Range{0, 1});
    v("sensitivity", self.sensitivity,
      "Measures what rounding each layer alone changes, a forward pass a layer over the "
      "calibration "
      "text, for the report.");
    v("calibration_tokens", self.calibration_tokens,
      "Tokens of training text, or of held-out text without any, that smooth and sensitivity see.",
      Range{1, 1e9});
  }
  void validate(Validation& v) const;

  /// `scale_type`: of the weights' scales.
  nn::QuantisationSpec spec(at::ScalarType scale_type) const;
};

}  // namespace hone::run

template <>
struct hone::EnumNames<hone::run::Scheme> {
  static constexpr std::pair<run::Scheme, const char*> values[] = {
      {run::Scheme::kW8A8, "w8a8"}, {run::Scheme::kW8A16, "w8a16"}, {run::Scheme::kW4A16, "w4a16"}};
};
template <>
struct hone::EnumNames<hone::run::SavedForm> {
  static constexpr std::pair<run::SavedForm, const char*> values[] = {
      {run::SavedForm::kIntegers, "integers"}, {run::SavedForm::kNumbers, "numbers"}};
};
