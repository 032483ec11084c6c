/// The recipe of dynamic adjustment, as hone-dynamic reads it.
#pragma once
#include <vector>

#include "hone/core/field.h"
#include "hone/core/json.h"
#include "hone/paths/domain_config.h"
#include "hone/paths/pruning.h"
#include "hone/paths/run_meters.h"
#include "hone/train/batch_growth.h"
#include "hone/train/controller_board.h"
#include "hone/train/domain_weights.h"
#include "hone/train/early_stopping.h"
#include "hone/train/freezing.h"
#include "hone/train/plateau.h"
#include "hone/train/regularisation.h"
#include "hone/train/rules.h"
#include "hone/train/spike.h"

namespace hone::paths {

/// The controllers, in the order in which they are asked: what undoes a step before what judges it,
/// rules written by hand after all but the one that may end the run.
struct ControllersOptions {
  train::SpikeOptions spike;
  train::BatchGrowthOptions batch;
  train::PlateauOptions plateau;
  train::RegularisationOptions regularisation;
  train::DomainWeightsOptions domain_weights;
  train::FreezingOptions freezing;
  PruningOptions pruning;
  std::vector<train::RuleOptions> rules;
  train::EarlyStoppingOptions early_stopping;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("spike", self.spike, "Undoes steps after which the loss jumps.");
    v("batch", self.batch, "Grows the batch with the gradient's noise.");
    v("plateau", self.plateau, "Lowers the learning rate when the loss falls no more.");
    v("regularisation", self.regularisation,
      "Moves dropout and weight decay by the gap between training and held-out loss.");
    v("domain_weights", self.domain_weights, "Moves weight to the domains that learn least.");
    v("freezing", self.freezing, "Freezes and unfreezes layers.");
    v("pruning", self.pruning, "Switches off and removes heads, channels and layers.");
    v("rules", self.rules, "Rules written by hand.");
    v("early_stopping", self.early_stopping, "Ends a run whose held-out loss falls no more.");
  }
  /// Options of controllers that nobody has switched on or off.
  void validate(Validation& v) const;
};

/// A recipe of hone-domain, and what adapts the run.
struct DynamicConfig {
  DomainConfig run;
  double neftune_alpha = 0;
  SignalOptions signals;
  ControllersOptions controllers;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    DomainConfig::visit(self.run, v);
    v("neftune_alpha", self.neftune_alpha,
      "Noise on the embeddings while training (NEFTune; the paper tries 5, 10 and 15); 0 is off.",
      Range{0, 1000});
    v("signals", self.signals, "What is measured for the controllers.");
    v("controllers", self.controllers, "What adapts the run, asked in this order.");
  }
  void validate(Validation& v) const;
};

/// The enabled controllers in their order; without a decoder only to ask for names and knobs.
/// Throws: ConfigError if a target of pruning cannot be met.
train::Controllers make_controllers(const DynamicConfig& config,
                                    model::Decoder* decoder = nullptr);

/// The resolved configuration of an older run of hone-domain or hone-dynamic, with the keys that
/// came since at their defaults. Throws: ConfigError for what can no longer be read.
Json with_new_keys(const Json& config);

}  // namespace hone::paths
