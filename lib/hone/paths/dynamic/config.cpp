#include "hone/paths/dynamic/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "hone/core/error.h"
#include "hone/data/dataset.h"
#include "hone/model/pruned/layers.h"
#include "hone/model/pruned/pruning.h"
#include "hone/train/controllers/knobs.h"

namespace hone::paths {
namespace {

/// The names of a struct's fields that were given.
struct GivenKeys {
  template <class T, class... Args>
  void operator()(const char* name, const T&, std::string_view, const Args&...) {
    if (v.is_set(path + "/" + name)) keys.emplace_back(name);
  }

  const Validation& v;
  const std::string path;
  std::vector<std::string> keys = {};
};

/// Finds controllers that have options and no word on whether they act.
struct SwitchCheck {
  template <class T, class... Args>
  void operator()(const char* name, const T& options, std::string_view, const Args&...) {
    if constexpr (requires { options.enabled; }) {
      if (options.enabled || v.is_set(std::string(name) + "/enabled")) return;
      GivenKeys given{v, name};
      T::visit(options, given);
      if (given.keys.empty()) return;
      v.problem(std::string(name) + "/enabled",
                fmt::format("is false where it is not given, so that {} would do nothing: add "
                            "\"enabled\": true",
                            fmt::join(given.keys, ", ")));
    }
  }

  Validation& v;
};

/// Why a run makes no evaluations; "" if it does.
std::string never_evaluated(const DynamicConfig& config) {
  if (config.run.train.eval_every == 0) return "train.eval_every is 0";
  return config.run.data.held_out_sets().empty() ? "data.held_out is empty" : "";
}

/// Controllers that judge evaluations, where none are made.
void check_evaluations(const DynamicConfig& config, Validation& v) {
  const std::string reason = never_evaluated(config);
  if (reason.empty()) return;
  const ControllersOptions& c = config.controllers;
  const std::pair<const char*, bool> judges[] = {
      {"early_stopping", c.early_stopping.enabled},
      {"regularisation", c.regularisation.enabled},
      {"plateau", c.plateau.enabled && c.plateau.metric == train::PlateauMetric::kValidationLoss},
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
  if (signal.starts_with("validation/") && !has_domain(config.run.data.held_out_sets(), member)) {
    return "needs a set of that domain in data.held_out";
  }
  if (signal.starts_with("train/") && !has_domain(config.run.data.train, member)) {
    return "needs a set of that domain in data.train";
  }
  if (signal.starts_with("heads_alive/") && !(c.pruning.enabled && c.pruning.heads)) {
    return "needs controllers.pruning.heads";
  }
  const bool grows =
      std::any_of(c.rules.begin(), c.rules.end(),
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
std::string to_of(size_t rule) { return fmt::format("controllers/rules/{}/to", rule); }

std::vector<std::string> all_domains(const run::DataOptions& data) {
  std::vector<data::DatasetOptions> sets = data.train;
  sets.insert(sets.end(), data.held_out.begin(), data.held_out.end());
  return data::domain_names(sets);
}

std::vector<std::string> set_labels(const std::vector<data::DatasetOptions>& sets) {
  std::vector<std::string> labels;
  for (const data::DatasetOptions& set : sets) labels.push_back(set.label());
  return labels;
}

/// The snapshots that controllers and rules take.
std::vector<std::string> snapshot_names(const ControllersOptions& c) {
  std::vector<std::string> names;
  if (c.spike.enabled) names = {"spike-0", "spike-1"};
  if (c.early_stopping.enabled && c.early_stopping.restore_best) names.emplace_back("best");
  for (const train::RuleOptions& rule : c.rules) {
    if (rule.set == "snapshot" && rule.to && rule.to->is_string()) {
      names.push_back(rule.to->get<std::string>());
    }
  }
  return names;
}

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
  for_each_signal(config.controllers.rules,
                  [&](size_t rule, const std::string& signal) { check(when_of(rule), signal); });
}

/// Knobs' values of rules that name what the recipe does not have.
void check_rules(const DynamicConfig& config, Validation& v) {
  const std::vector<train::RuleOptions>& rules = config.controllers.rules;
  const auto check_names = [&](size_t rule, const std::vector<std::string>& known) {
    for (const auto& [name, value] : rules[rule].to->items()) {
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      v.problem(to_of(rule), fmt::format("{} has no \"{}\"{}", rules[rule].set, name,
                                         did_you_mean(name, known)));
    }
  };
  for (size_t i = 0; i < rules.size(); ++i) {
    const train::RuleOptions& rule = rules[i];
    const train::KnobInfo* knob = train::find_knob(rule.set);
    if (!knob || !rule.to || !train::knob_problem(*knob, *rule.to).empty()) continue;
    if (rule.set == "domain_weights") check_names(i, all_domains(config.run.data));
    if (rule.set == "mix_weights") check_names(i, set_labels(config.run.data.train));
    if (rule.set == "augmentation_rate" && *rule.to > 0 && !config.run.data.augmentation.any()) {
      v.problem(to_of(i), "augmentation_rate above 0 needs data.augmentation");
    }
    if (rule.set != "rollback") continue;
    const std::vector<std::string> known = snapshot_names(config.controllers);
    const auto name = rule.to->get<std::string>();
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    v.problem(to_of(i), fmt::format("nothing takes a snapshot \"{}\" to go back to{}", name,
                                    did_you_mean(name, known)));
  }
}

/// domain_weights needs domains to weigh.
void check_domain_weights(const DynamicConfig& config, Validation& v) {
  const train::DomainWeightsOptions& options = config.controllers.domain_weights;
  if (!options.enabled) return;
  const bool mix = options.knob == train::DomainKnob::kMixWeights;
  const std::vector<std::string> domains =
      mix ? data::domain_names(config.run.data.train) : all_domains(config.run.data);
  if (domains.size() < 2) {
    v.problem("controllers/domain_weights",
              "needs at least two domains to weigh against each "
              "other, the data has " +
                  std::to_string(domains.size()));
  }
  for (const auto& [name, loss] : options.reference) {
    if (std::find(domains.begin(), domains.end(), name) != domains.end()) continue;
    v.problem("controllers/domain_weights/reference/" + pointer_step(name),
              "is no domain of the run" + did_you_mean(name, domains));
  }
}

/// What a rule sets that names layers, or units of them, against the decoder's.
std::string layers_problem(const train::RuleOptions& rule, const model::Decoder& decoder,
                           bool may_be_cut) {
  const auto kind = enum_from_name<model::UnitKind>(rule.set);
  const std::vector<int64_t> numbers = model::layer_numbers(decoder->config());
  const auto missing = [&](int64_t layer) {
    return std::find(numbers.begin(), numbers.end(), layer) == numbers.end();
  };
  if (rule.set == "frozen_layers") {
    for (const Json& layer : *rule.to) {
      if (missing(layer)) {
        return fmt::format("names layer {}, the model has the layers {}", layer.get<int64_t>(),
                           fmt::join(numbers, ", "));
      }
    }
  }
  if (!kind) return "";
  std::map<int64_t, int64_t> units;
  for (const model::LayerUnits& layer : model::units(decoder, *kind)) {
    units[layer.layer] = layer.units;
  }
  for (const auto& [name, mask] : rule.to->items()) {
    const int64_t layer = std::stoll(name);
    if (missing(layer)) {
      return fmt::format("names layer {}, the model has the layers {}", layer,
                         fmt::join(numbers, ", "));
    }
    if (!units.contains(layer)) {
      return fmt::format("names layer {}, which has no {}", layer, rule.set);
    }
    if (may_be_cut || std::ssize(mask) == units.at(layer)) continue;
    return fmt::format("has {} numbers for layer {}, which has {} {}", mask.size(), layer,
                       units.at(layer), rule.set);
  }
  return "";
}

/// Throws: ConfigError for rules on layers that the decoder lacks.
void check_layers(const std::vector<train::RuleOptions>& rules, const model::Decoder& decoder) {
  std::vector<std::string> layers;
  for (const int64_t layer : model::layer_numbers(decoder->config())) {
    layers.push_back(std::to_string(layer));
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
  const bool may_be_cut =
      std::any_of(rules.begin(), rules.end(), [](const auto& rule) { return rule.set == "cut"; });
  for (size_t i = 0; i < rules.size(); ++i) {
    if (!rules[i].to) continue;
    const std::string problem = layers_problem(rules[i], decoder, may_be_cut);
    if (!problem.empty()) problems.push_back({"/" + to_of(i), rules[i].set + " " + problem});
  }
  if (!problems.empty()) throw ConfigError(std::move(problems));
}

/// Throws: ConfigError if all layers would always train.
void check_freezing(const train::Freezing& freezing) {
  try {
    freezing.check_layers();
  } catch (const Error& error) {
    throw ConfigError({{"/controllers/freezing/min_trainable", error.what()}});
  }
}

/// What would thaw what a warm-up of the indexer freezes.
void check_warm_up(const DynamicConfig& config, Validation& v) {
  if (config.run.indexer.train != nn::IndexLearning::kWarmUp) return;
  const auto thaws = [](const train::RuleOptions& rule) { return rule.set == "frozen_layers"; };
  const auto& rules = config.controllers.rules;
  if (!config.controllers.freezing.enabled && std::none_of(rules.begin(), rules.end(), thaws))
    return;
  v.problem("indexer/train",
            "warm_up freezes all but the indexers; drop controllers/freezing and rules that set "
            "frozen_layers");
}

void check_pruning(const DynamicConfig& config, Validation& v) {
  const run::PruningOptions& pruning = config.controllers.pruning;
  const std::vector<train::RuleOptions>& rules = config.controllers.rules;
  for (size_t i = 0; i < rules.size() && config.controllers.freezing.enabled; ++i) {
    if (rules[i].set != "cut" || rules[i].to != Json("layers")) continue;
    v.problem(to_of(i), "removes layers, which controllers/freezing counts; turn one of them off");
  }
  if (!pruning.enabled) return;
  if (config.run.multi_token.train) {
    v.problem(
        "multi_token/train",
        "trains layers that pruning leaves whole, and what is saved has none; turn off one of "
        "it and controllers/pruning");
  }
  if (config.run.sharing) {
    v.problem("sharing", "no units can be cut of layers that share; turn off controllers/pruning");
  }
  if (config.run.quantisation) {
    v.problem("quantisation",
              "makes integers of whole layers: prune first, and give what comes of it to a run of "
              "its own, or turn off controllers/pruning");
  }
  if (pruning.experts && pruning.experts->merge && config.run.tuning == run::Tuning::kLora) {
    v.problem("controllers/pruning/experts/merge",
              "changes weights that an adapter's run neither trains nor keeps; take tuning full");
  }
  for (const auto& [kind, prune] : pruning.kinds()) {
    if (config.run.train.epochs || prune.end <= config.run.train.steps) continue;
    v.problem("controllers/pruning/" + enum_name(kind) + "/end",
              fmt::format("is after the last of train.steps, {}", config.run.train.steps));
  }
  if (pruning.layers && config.controllers.freezing.enabled) {
    v.problem("controllers/freezing/enabled",
              "counts layers, of which controllers/pruning/layers removes some; turn one of them "
              "off");
  }
  if (config.run.guard.domain && config.run.guard.action == run::GuardAction::kStop) {
    v.problem("guard/action",
              "stop goes back to an earlier checkpoint, and what pruning has cut "
              "does not come back; take rebalance");
  }
}

void check_owners(const DynamicConfig& config, Validation& v) {
  const ControllersOptions& c = config.controllers;
  const bool rebalances =
      config.run.guard.domain && config.run.guard.action == run::GuardAction::kRebalance;
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

void ControllersOptions::validate(Validation& v) const {
  SwitchCheck check{v};
  visit(*this, check);
}

void DynamicConfig::validate(Validation& v) const {
  run.validate(v);
  if (run.train.only_evaluates()) {
    v.problem("train/steps", "must be at least 1: a run of 0 adapts nothing");
  }
  if (controllers.batch.enabled && run.train.accumulation == 1) {
    v.problem("controllers/batch",
              "needs train.accumulation of at least 2, since the noise of the gradient is that "
              "between the batches of a step; halve data.tokens_per_batch for it");
  }
  const auto& rules = controllers.rules;
  const bool drops =
      (controllers.regularisation.enabled && controllers.regularisation.dropout_step > 0) ||
      std::any_of(rules.begin(), rules.end(),
                  [](const auto& rule) { return rule.set == "dropout"; });
  if (run.quantisation && run.tuning == run::Tuning::kLora && drops) {
    v.problem("quantisation",
              "rounds an adapter's change together with the weight, which leaves no place for "
              "dropout: no rule may set it, and controllers/regularisation/dropout_step must be 0");
  }
  check_evaluations(*this, v);
  check_signals(*this, v);
  check_rules(*this, v);
  check_domain_weights(*this, v);
  check_pruning(*this, v);
  check_warm_up(*this, v);
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
    std::vector<int64_t> layers;
    if (decoder) layers = model::layer_numbers((*decoder)->config());
    auto freezing = std::make_unique<train::Freezing>(options.freezing, std::move(layers));
    if (decoder) check_freezing(*freezing);
    list.push_back(std::move(freezing));
  }
  if (options.pruning.enabled)
    list.push_back(std::make_unique<run::Pruning>(options.pruning, decoder));
  if (decoder) check_layers(options.rules, *decoder);
  if (!options.rules.empty()) list.push_back(std::make_unique<train::Rules>(options.rules));
  if (options.early_stopping.enabled) {
    list.push_back(std::make_unique<train::EarlyStopping>(options.early_stopping));
  }
  return list;
}

}  // namespace hone::paths
