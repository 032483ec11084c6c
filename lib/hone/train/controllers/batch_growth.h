/// Grows the batch as the gradient's noise grows, and recomputes activations when memory runs
/// short.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/train/controllers/controller.h"

namespace hone::train {

enum class RateRule { kSqrt, kLinear, kNone };

struct BatchGrowthOptions {
  bool enabled = false;
  int64_t max_accumulation = 64;
  double share = 1;
  int64_t every = 50;
  RateRule lr_rule = RateRule::kSqrt;
  double min_headroom_mib = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("enabled", self.enabled, "Whether it acts.");
    v("max_accumulation", self.max_accumulation, "Most batches that a step sums.", Range{2, 1e6});
    v("share", self.share,
      "The batch doubles while the doubled one is at most this share of the noise scale.",
      Range{1e-6, 1e6});
    v("every", self.every, "Fewest steps between two changes.", Range{1, 1e9});
    v("lr_rule", self.lr_rule,
      "What lr_scale is multiplied with when the batch grows by r: sqrt(r) suits AdamW, linear is "
      "r.");
    v("min_headroom_mib", self.min_headroom_mib,
      "MiB of free memory under which every block is recomputed in the backward pass "
      "(checkpoint_every 1); 0 leaves that alone.",
      Range{0, 1e9});
  }
};

/// Doubles `accumulation`, at most every `every` steps and up to `max_accumulation`, while
///   2 * tokens <= share * noise_scale,
/// for a batch far under the noise scale wastes steps and one far over it wastes text (McCandlish
/// et al. 2018, section 2.2). lr_scale follows by the square root of the ratio (Malladi et al.
/// 2022, for Adam) or by the ratio (Goyal et al. 2017, for SGD). Accumulation takes no more memory,
/// so that memory_headroom does not bound it: where the run is short of memory, the activations go.
/// The noise scale is measured between a batch and the step that it is part of, so that a run that
/// starts with accumulation 1 is refused.
class BatchGrowth : public Controller {
 public:
  explicit BatchGrowth(const BatchGrowthOptions& options) : options_(options) {}
  std::string name() const override { return "batch"; }
  std::vector<std::string> owns() const override;
  void at_start(KnobSetter& adjuster) override;
  void after_step(int64_t step, const Signals& signals, KnobSetter& adjuster) override;
  Json state() const override { return {{"changed", changed_}}; }
  void restore(const Json& state) override { changed_ = state.at("changed"); }

 private:
  void spare_memory(const Signals& signals, KnobSetter& adjuster) const;

  const BatchGrowthOptions options_;
  int64_t changed_ = 0;  ///< step of the last change
};

}  // namespace hone::train

template <>
struct hone::EnumNames<hone::train::RateRule> {
  static constexpr std::pair<train::RateRule, const char*> values[] = {
      {train::RateRule::kSqrt, "sqrt"},
      {train::RateRule::kLinear, "linear"},
      {train::RateRule::kNone, "none"}};
};
