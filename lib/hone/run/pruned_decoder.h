/// Pruning a decoder while it trains: heads, MLP channels, experts and layers.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/json.h"
#include "hone/core/names.h"
#include "hone/nn/pruning.h"
#include "hone/train/controllers/controller.h"
#include "hone/train/controllers/knobs.h"
#include "hone/train/controllers/signals.h"

namespace hone::model {
class Decoder;
enum class UnitKind;
}  // namespace hone::model
namespace hone::optim {
class Optimizer;
}

namespace hone::run {

/// What decides which experts go.
enum class ExpertRule {
  kRoutedMass,  ///< those of the least routing weight a token
  kRandom       ///< any: what mass is measured against
};

/// As many experts go of each group of each layer's router, by the schedule of nn::PruneOptions,
/// and none comes back.
struct ExpertPruningOptions {
  ExpertRule rule = ExpertRule::kRoutedMass;
  double target = 0.5;
  int64_t start = 10;
  int64_t end = 100;
  int64_t every = 10;
  bool merge = false;
  int64_t seed = 1;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("rule", self.rule,
      "Which experts go: those of the least routed mass, their mean routing weight a token since "
      "the last decision, or any.");
    v("target", self.target, "Share of each group's experts that is off at the end.", Range{0, 1});
    v("start", self.start, "Step at which experts begin to go.", Range{0, 1e12});
    v("end", self.end, "Step from which the target share is off.", Range{0, 1e12});
    v("every", self.every, "Steps between decisions.", Range{1, 1e12});
    v("merge", self.merge,
      "Work an expert that goes into the one that stays whose row of the router is most like its "
      "own, by their masses (M-SMoE). Only in full tuning.");
    v("seed", self.seed, "Of the rule random.");
  }
  void validate(Validation& v) const;

  nn::PruneOptions schedule() const;
};

struct PruningOptions {
  bool enabled = false;
  std::optional<nn::PruneOptions> heads, channels, layers;
  std::optional<ExpertPruningOptions> experts;
  bool cut = true;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("enabled", self.enabled, "Whether it acts.");
    v("heads", self.heads, "Attention heads; absent: none go.");
    v("channels", self.channels, "Channels of the MLPs; absent: none go.");
    v("experts", self.experts, "Routed experts; absent: none go.");
    v("layers", self.layers, "Whole layers; absent: none go.");
    v("cut", self.cut,
      "Remove what is off when its schedule ends, so that steps get faster; else after the run.");
  }
  void validate(Validation& v) const;

  /// The options of each kind that is pruned.
  std::map<model::UnitKind, nn::PruneOptions> kinds() const;
};

/// A decoder in training whose units can be switched off and cut, with its optimiser's state.
class PrunedDecoder {
 public:
  /// Adds the knobs heads, channels, experts, layers, merged_experts and cut. Masks are objects of
  /// lists of 0 and 1 by layer.
  PrunedDecoder(model::Decoder& decoder, optim::Optimizer& optimizer, train::Knobs& knobs);

  /// What was cut, and the gates; and back, before weights are read.
  Json state() const;
  void restore(const Json& state);
  /// Cuts all that is off: for the end of a run. Returns whether there was any.
  bool cut_all();

  /// Sets heads_alive/<layer>, and gives the same for metrics.jsonl as {"heads_alive": {"0": 4}},
  /// with "head_importance": {"0": [...]} if asked for and measured; {} where heads have no gates.
  Json measure(train::Signals& signals, bool with_importance) const;

 private:
  void cut(model::UnitKind kind);

  model::Decoder& decoder_;
  optim::Optimizer& optimizer_;
};

/// Switches units off by their importance as each kind's schedule says, whose start and end count
/// the steps of the main phase, as train.steps does.
class Pruning : public train::Controller {
 public:
  /// Without a decoder it only tells its name and knobs.
  /// Throws: ConfigError if a target cannot be met, or a model without experts is to lose some.
  Pruning(const PruningOptions& options, model::Decoder* decoder);

  std::string name() const override { return "pruning"; }
  std::vector<std::string> owns() const override;
  void begin(int64_t first_step) override;
  void after_step(int64_t step, const train::Signals& signals,
                  train::KnobSetter& adjuster) override;
  Json state() const override;
  void restore(const Json& state) override;

 private:
  using Layers = std::map<int64_t, std::vector<int64_t>>;

  void check_experts(const nn::PruneOptions& options) const;
  void decide(model::UnitKind kind, const nn::PruneOptions& options, int64_t step,
              train::KnobSetter& adjuster);
  /// The layers' units as they are now.
  std::vector<nn::PruneUnits> units(model::UnitKind kind) const;

  const PruningOptions options_;
  model::Decoder* const decoder_;
  std::map<model::UnitKind, Layers> off_since_;  // of the units that are there, by layer
};

}  // namespace hone::run

template <>
struct hone::EnumNames<hone::run::ExpertRule> {
  static constexpr std::pair<run::ExpertRule, const char*> values[] = {
      {run::ExpertRule::kRoutedMass, "routed_mass"}, {run::ExpertRule::kRandom, "random"}};
};
