#include "hone/paths/dynamic_config.h"

#include <fmt/format.h>

#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "hone/core/error.h"

namespace hone::paths {
namespace {

/// Controllers that judge evaluations, where none are made.
void check_evaluations(const DynamicConfig& config, Validation& v) {
  if (config.run.train.eval_every > 0) return;
  const ControllersOptions& c = config.controllers;
  const std::pair<const char*, bool> judges[] = {
      {"early_stopping", c.early_stopping.enabled},
      {"regularisation", c.regularisation.enabled},
      {"plateau",
       c.plateau.enabled && c.plateau.metric == train::PlateauMetric::kValidationLoss},
      {"domain_weights",
       c.domain_weights.enabled && c.domain_weights.method == train::DomainMethod::kValidation}};
  for (const auto& [name, enabled] : judges) {
    if (!enabled) continue;
    v.problem(std::string("controllers/") + name,
              "judges evaluations, and train.eval_every is 0; set it");
  }
}

void check_pruning(const DynamicConfig& config, Validation& v) {
  const PruningOptions& pruning = config.controllers.pruning;
  if (!pruning.enabled) return;
  for (const auto& [kind, prune] : pruning.kinds()) {
    if (prune.end <= config.run.train.steps) continue;
    v.problem("controllers/pruning/" + enum_name(kind) + "/end",
              fmt::format("is after the last step, {}", config.run.train.steps));
  }
  if (pruning.layers && config.controllers.freezing.enabled) {
    v.problem("controllers/freezing/enabled",
              "counts layers, of which controllers/pruning/layers removes some; turn one of them "
              "off");
  }
  if (config.run.guard.domain && config.run.guard.action == GuardAction::kStop) {
    v.problem("guard/action", "stop goes back to an earlier checkpoint, and what pruning has cut "
                              "does not come back; take rebalance");
  }
}

void check_owners(const DynamicConfig& config, Validation& v) {
  const ControllersOptions& c = config.controllers;
  const bool rebalances = config.run.guard.domain &&
                          config.run.guard.action == GuardAction::kRebalance;
  if (rebalances && c.domain_weights.enabled &&
      c.domain_weights.knob == train::DomainKnob::kMixWeights) {
    v.problem("controllers/domain_weights/knob",
              "mix_weights are the guard's, whose action is rebalance; turn one of them off");
  }
  DynamicConfig others = config;
  others.controllers.rules.clear();
  train::Controllers list = make_controllers(others);
  train::check_owners(c.rules, list, "controllers/rules", v);
  try {
    const train::ControllerBoard check(std::move(list), nullptr);
  } catch (const Error& error) {
    v.problem("controllers", error.what());
  }
}

}  // namespace

void DynamicConfig::validate(Validation& v) const {
  run.validate(v);
  if (run.train.steps == 0) {
    v.problem("train/steps", "must be at least 1: a run of 0 adapts nothing");
  }
  if (controllers.batch.enabled && run.train.accumulation == 1) {
    v.problem("controllers/batch",
              "needs train.accumulation of at least 2, since the noise of the gradient is that "
              "between the batches of a step; halve data.tokens_per_batch for it");
  }
  check_evaluations(*this, v);
  check_pruning(*this, v);
  check_owners(*this, v);
}

train::Controllers make_controllers(const DynamicConfig& config, model::Decoder* decoder) {
  const ControllersOptions& options = config.controllers;
  train::Controllers list;
  if (options.spike.enabled) list.push_back(std::make_unique<train::Spike>(options.spike));
  if (options.batch.enabled) list.push_back(std::make_unique<train::BatchGrowth>(options.batch));
  if (options.plateau.enabled) list.push_back(std::make_unique<train::Plateau>(options.plateau));
  if (options.regularisation.enabled) {
    list.push_back(std::make_unique<train::Regularisation>(options.regularisation));
  }
  if (options.domain_weights.enabled) {
    std::map<std::string, std::string> domain_of_set;
    for (const data::DatasetOptions& set : config.run.data.train) {
      domain_of_set[set.label()] = set.domain;
    }
    list.push_back(std::make_unique<train::DomainWeights>(options.domain_weights, domain_of_set));
  }
  if (options.freezing.enabled) {
    const int64_t layers =
        decoder ? std::ssize((*decoder)->layers) : std::numeric_limits<int64_t>::max();
    list.push_back(std::make_unique<train::Freezing>(options.freezing, layers));
  }
  if (options.pruning.enabled) list.push_back(std::make_unique<Pruning>(options.pruning, decoder));
  if (!options.rules.empty()) list.push_back(std::make_unique<train::Rules>(options.rules));
  if (options.early_stopping.enabled) {
    list.push_back(std::make_unique<train::EarlyStopping>(options.early_stopping));
  }
  return list;
}

}  // namespace hone::paths
