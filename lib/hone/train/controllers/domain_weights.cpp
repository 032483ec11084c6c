#include "hone/train/controllers/domain_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "hone/train/detail/state.h"

namespace hone::train {

void DomainWeightsOptions::validate(Validation& v) const {
  if (method == DomainMethod::kGroupDro) v.no_effect("reference", "with method group_dro");
  if (method == DomainMethod::kValidation) {
    v.no_effect("every", "with method validation, which updates at each evaluation");
  }
}

std::vector<std::string> DomainWeights::owns() const { return {enum_name(options_.knob)}; }

const std::string& DomainWeights::domain_of(const std::string& weight) const {
  if (options_.knob == DomainKnob::kDomainWeights) return weight;
  const auto found = domain_of_set_.find(weight);
  if (found == domain_of_set_.end()) throw Error("the data set " + weight + " has no known domain");
  return found->second;
}

void DomainWeights::at_start(KnobSetter& adjuster) {
  std::set<std::string> domains;
  const Json weights = adjuster.get(enum_name(options_.knob));
  for (const auto& [name, weight] : weights.items()) {
    first_[name] = weight.get<double>();
    domains.insert(domain_of(name));
  }
  if (domains.size() < 2) {
    throw Error("needs text of at least two domains to weigh against each other");
  }
  const std::vector<std::string> known(domains.begin(), domains.end());
  for (const auto& [domain, loss] : options_.reference) {
    if (!domains.contains(domain)) {
      throw Error("the reference names \"" + domain + "\", no domain of the training data" +
                  did_you_mean(domain, known));
    }
  }
}

DomainWeights::Numbers DomainWeights::losses(const Signals& signals) const {
  const bool held_out = options_.method == DomainMethod::kValidation;
  Numbers losses;
  for (const auto& [name, weight] : first_) {
    const std::string& domain = domain_of(name);
    const auto measured = signals.find((held_out ? "validation/" : "train/") + domain);
    if (!measured) continue;
    const double loss = held_out ? std::log(*measured) : *measured;
    if (std::isfinite(loss)) losses[domain] = loss;
  }
  return losses;
}

DomainWeights::Numbers DomainWeights::excess(const Numbers& losses) {
  if (options_.method == DomainMethod::kGroupDro) return losses;
  Numbers gains;
  for (const auto& [domain, loss] : losses) {
    if (options_.reference.empty()) {
      gains[domain] = loss - reference_.try_emplace(domain, loss).first->second;
    } else if (const auto given = options_.reference.find(domain);
               given != options_.reference.end()) {
      const double over = loss - given->second;
      gains[domain] = options_.method == DomainMethod::kDoremi ? std::max(over, 0.0) : over;
    }
  }
  return gains;
}

void DomainWeights::update(const Numbers& gains) {
  const auto count = static_cast<double>(gains.size());
  // Factors are shares times their number, so that even ones are 1 and a domain measured later
  // begins there. The largest exponent is taken off, which changes no share and cannot overflow.
  double most = -std::numeric_limits<double>::infinity(), sum = 0;
  for (const auto& [domain, gain] : gains) most = std::max(most, gain);
  Numbers raised;
  for (const auto& [domain, gain] : gains) {
    const double factor = factors_.try_emplace(domain, 1.0).first->second;
    sum += raised[domain] = factor * std::exp(options_.rate * (gain - most));
  }
  for (const auto& [domain, value] : raised) {
    const double even = options_.smoothing;
    factors_[domain] = std::clamp((1 - even) * value / sum * count + even, options_.min_factor,
                                  options_.max_factor);
  }
}

void DomainWeights::act(const Signals& signals, KnobSetter& adjuster) {
  const Numbers gains = excess(losses(signals));
  if (gains.size() < 2) return;
  update(gains);
  Json weights = adjuster.get(enum_name(options_.knob));  // keeps the order of its names
  std::vector<std::string> names;
  for (const auto& [name, weight] : first_) {
    const auto factor = factors_.find(domain_of(name));
    weights[name] = factor == factors_.end() ? weight : weight * factor->second;
  }
  std::string list;
  for (const auto& [domain, gain] : gains) {
    names.push_back((options_.method == DomainMethod::kValidation ? "validation/" : "train/") +
                    domain);
    list += fmt::format("{}{} {:.4g}", list.empty() ? "" : ", ", domain, gain);
  }
  const char* what = options_.method == DomainMethod::kGroupDro ? "losses" : "excess losses";
  adjuster.set(enum_name(options_.knob), weights,
               fmt::format("{}: {} {}", enum_name(options_.method), what, list), names);
}

void DomainWeights::after_step(int64_t step, const Signals& signals, KnobSetter& adjuster) {
  if (options_.method == DomainMethod::kValidation || step % options_.every != 0) return;
  act(signals, adjuster);
}

void DomainWeights::after_evaluation(int64_t step, const Signals& signals, KnobSetter& adjuster) {
  if (options_.method == DomainMethod::kValidation) act(signals, adjuster);
}

Json DomainWeights::state() const {
  return {{"first", first_}, {"factors", factors_}, {"reference", reference_}};
}

void DomainWeights::restore(const Json& state) {
  first_ = state.at("first").get<Numbers>();
  factors_ = state.at("factors").get<Numbers>();
  reference_ = state.at("reference").get<Numbers>();
}

}  // namespace hone::train
