/// The recipe of dynamic adjustment, as hone-dynamic reads it.
#pragma once
#include <vector>

#include "hone/core/field.h"
#include "hone/core/json.h"
#include "hone/run/config.h"
#include "hone/run/meters.h"
#include "hone/run/pruned_decoder.h"
#include "hone/train/controllers/batch_growth.h"
#include "hone/train/controllers/controller_board.h"
#include "hone/train/controllers/domain_weights.h"
#include "hone/train/controllers/early_stopping.h"
#include "hone/train/controllers/freezing.h"
#include "hone/train/controllers/plateau.h"
#include "hone/train/controllers/regularisation.h"
#include "hone/train/controllers/rules.h"
#include "hone/train/controllers/spike.h"

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
  run::PruningOptions pruning;
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
    v("pruning", self.pruning, "Switches off and removes heads, channels, experts and layers.");
    v("rules", self.rules, "Rules written by hand.");
    v("early_stopping", self.early_stopping, "Ends a run whose held-out loss falls no more.");
  }
  /// Options of controllers that nobody has switched on or off.
  void validate(Validation& v) const;
};

/// A recipe of hone-domain, and what adapts the run.
struct DynamicConfig {
  run::Config run;
  double neftune_alpha = 0;
  run::SignalOptions signals;
  ControllersOptions controllers;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    run::Config::visit(self.run, v);
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
train::Controllers make_controllers(const DynamicConfig& config, model::Decoder* decoder = nullptr);

}  // namespace hone::paths
