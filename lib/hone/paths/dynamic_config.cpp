#include "hone/paths/dynamic_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "hone/core/error.h"
#include "hone/model/pruned_layers.h"

namespace hone::paths {
namespace {

/// Why a run makes no evaluations; "" if it does.
std::string never_evaluated(const DynamicConfig& config) {
  if (config.run.train.eval_every == 0) return "train.eval_every is 0";
  return config.run.data.held_out.empty() ? "data.held_out is empty" : "";
}

/// Controllers that judge evaluations, where none are made.
void check_evaluations(const DynamicConfig& config, Validation& v) {
  const std::string reason = never_evaluated(config);
  if (reason.empty()) return;
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
    v.problem(std::string("controllers/") + name, "judges evaluations, and " + reason);
  }
}

bool has_domain(const std::vector<data::DatasetOptions>& sets, const std::string& domain) {
  return std::any_of(sets.begin(), sets.end(),
                     [&](const data::DatasetOptions& set) { return set.domain == domain; });
}

/// Why a run never measures a signal; "" if it does, as far as can be said without the model.
std::string never_measured(const DynamicConfig& config, const std::string& signal) {
  const ControllersOptions& c = config.controllers;
  const std::string member = signal.substr(signal.find('/') + 1);
  const bool held_out = signal.starts_with("validation") || signal == "train_validation_gap";
  const std::string none = never_evaluated(config);
  if (held_out && !none.empty()) return "is measured by evaluations, and " + none;
  if (signal.starts_with("validation/") && !has_domain(config.run.data.held_out, member)) {
    return "needs a set of that domain in data.held_out";
  }
  if (signal.starts_with("train/") && !has_domain(config.run.data.train, member)) {
    return "needs a set of that domain in data.train";
  }
  if (signal.starts_with("heads_alive/") && !(c.pruning.enabled && c.pruning.heads)) {
    return "needs controllers.pruning.heads";
  }
  const bool grows = std::any_of(
      c.rules.begin(), c.rules.end(),
      [](const train::RuleOptions& rule) { return rule.set == "accumulation"; });
  if (signal == "noise_scale" && config.run.train.accumulation == 1 && !grows) {
    return "needs train.accumulation of at least 2";
  }
  return "";
}

/// Calls `f` with the index of each rule and each signal it names.
template <class F>
void for_each_signal(const std::vector<train::RuleOptions>& rules, F f) {
  for (size_t i = 0; i < rules.size(); ++i) {
    std::vector<std::string> problems;  // told by the rule's own validation
    for (const auto& condition : train::parse_conditions(rules[i].when, problems)) {
      if (train::is_signal(condition.signal)) f(i, condition.signal);
    }
  }
}

std::string when_of(size_t rule) { return fmt::format("controllers/rules/{}/when", rule); }

/// Signals that would be waited for in vain.
void check_signals(const DynamicConfig& config, Validation& v) {
  const auto check = [&](const std::string& path, const std::string& signal) {
    const std::string problem = never_measured(config, signal);
    if (!problem.empty()) v.problem(path, signal + " " + problem);
  };
  const train::EarlyStoppingOptions& stopping = config.controllers.early_stopping;
  if (stopping.enabled && train::is_signal(stopping.metric) && never_evaluated(config).empty()) {
    check("controllers/early_stopping/metric", stopping.metric);
  }
  for_each_signal(config.controllers.rules, [&](size_t rule, const std::string& signal) {
    check(when_of(rule), signal);
  });
}

/// Throws: ConfigError for rules on layers that the decoder lacks.
void check_layers(const std::vector<train::RuleOptions>& rules, const model::Decoder& decoder) {
  std::vector<std::string> layers;
  for (const model::LayerSizes& layer : model::layer_sizes(decoder->config())) {
    layers.push_back(std::to_string(layer.index));
  }
  std::vector<Problem> problems;
  for_each_signal(rules, [&](size_t rule, const std::string& signal) {
    const bool updates = signal.starts_with("update_ratio/");
    if (!updates && !signal.starts_with("activation_rms/") && !signal.starts_with("heads_alive/")) {
      return;
    }
    const std::string layer = signal.substr(signal.find('/') + 1);
    if (std::find(layers.begin(), layers.end(), layer) != layers.end()) return;
    if (updates && layer == "embeddings") return;
    problems.push_back({"/" + when_of(rule), fmt::format("{}: the model has the layers {}", signal,
                                                         fmt::join(layers, ", "))});
  });
  if (!problems.empty()) throw ConfigError(std::move(problems));
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
  check_signals(*this, v);
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
  if (decoder) check_layers(options.rules, *decoder);
  if (!options.rules.empty()) list.push_back(std::make_unique<train::Rules>(options.rules));
  if (options.early_stopping.enabled) {
    list.push_back(std::make_unique<train::EarlyStopping>(options.early_stopping));
  }
  return list;
}

}  // namespace hone::paths
