#include "hone/train/controllers/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>
#include <utility>

#include "hone/core/names.h"
#include "hone/train/controllers/knobs.h"
#include "hone/train/detail/state.h"

namespace hone::train {
namespace {

using Operator = Condition::Operator;

constexpr std::array<std::pair<const char*, Operator>, 4> kOperators = {
    {{" >= ", Operator::kAtLeast},
     {" <= ", Operator::kAtMost},
     {" > ", Operator::kAbove},
     {" < ", Operator::kBelow}}};

std::vector<std::string> split(const std::string& text, const std::string& by) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t at; (at = text.find(by, begin)) != std::string::npos; begin = at + by.size()) {
    parts.push_back(text.substr(begin, at - begin));
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::optional<double> number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

template <class Info>
std::vector<std::string> names_of(const std::vector<Info>& list) {
  std::vector<std::string> names;
  for (const Info& info : list) names.emplace_back(info.name);
  return names;
}

bool held_out(const std::string& signal) {
  return signal.starts_with("validation") || signal == "train_validation_gap";
}

/// Knobs that any controller may set.
bool shared(const std::string& knob) {
  static const std::set<std::string> knobs = {"lr_scale", "stop", "snapshot", "rollback"};
  return knobs.contains(knob);
}

/// What is wrong with a rule that sets the knob to `value`; "" if nothing is.
std::string problem_of(const KnobInfo& knob, const Json& value) {
  if (knob.name == std::string_view("lr_scale")) {
    return "is multiplied by other controllers too: give multiply instead";
  }
  return knob_problem(knob, value);
}

}  // namespace

bool Condition::holds(double value) const {
  switch (op) {
    case Operator::kAbove:
      return value > bound;
    case Operator::kAtLeast:
      return value >= bound;
    case Operator::kBelow:
      return value < bound;
    case Operator::kAtMost:
      break;
  }
  return value <= bound;
}

std::vector<Condition> parse_conditions(const std::string& when,
                                        std::vector<std::string>& problems) {
  std::vector<Condition> conditions;
  for (const std::string& part : split(when, " and ")) {
    const auto found = std::find_if(kOperators.begin(), kOperators.end(), [&](const auto& known) {
      return part.find(known.first) != std::string::npos;
    });
    if (found == kOperators.end()) {
      problems.push_back(
          "\"" + part +
          "\" must be <signal> <operator> <number>, with spaces between them and the "
          "operator >, >=, < or <=");
      continue;
    }
    const std::vector<std::string> sides = split(part, found->first);
    const std::string& signal = sides.front();
    const auto bound = number(sides.back());
    if (!is_signal(signal)) {
      problems.push_back("unknown signal \"" + signal + "\"" +
                         did_you_mean(signal, names_of(all_signals())));
    }
    if (!bound || sides.size() != 2) {
      problems.push_back("\"" + part.substr(signal.size() + 1) + "\" must end in one number");
      continue;
    }
    conditions.push_back({signal, found->second, *bound});
  }
  return conditions;
}

void RuleOptions::validate(Validation& v) const {
  std::vector<std::string> problems;
  parse_conditions(when, problems);
  for (std::string& problem : problems) v.problem("when", std::move(problem));
  const KnobInfo* knob = find_knob(set);
  if (!knob) {
    v.problem("set", "unknown knob \"" + set + "\"" + did_you_mean(set, names_of(all_knobs())));
  }
  if (to.has_value() == multiply.has_value()) {
    v.problem("to", to ? "and multiply exclude each other" : "is missing, and so is multiply");
  }
  if (knob && to) {
    if (const std::string problem = problem_of(*knob, *to); !problem.empty()) {
      v.problem("to", set + " " + problem + ", got " + to->dump());
    }
  }
  if (knob && multiply && !knob->range) v.problem("multiply", set + " is no number; give to");
  if (knob && knob->range) {
    for (const auto& [key, bound] : {std::pair{"min", min}, {"max", max}}) {
      if (!bound || (*bound >= knob->range->min && *bound <= knob->range->max)) continue;
      v.problem(key, fmt::format("{} must be in [{}, {}], got {}", set, knob->range->min,
                                 knob->range->max, *bound));
    }
  }
  if (!multiply) {
    v.no_effect("min", "without multiply");
    v.no_effect("max", "without multiply");
  }
  if (min && max && *min > *max) v.problem("min", "must be at most max");
  if (once) v.no_effect("cooldown", "with once");
}

Rules::Rules(const std::vector<RuleOptions>& rules) {
  for (const RuleOptions& options : rules) {
    std::vector<std::string> problems;
    Rule rule{options, parse_conditions(options.when, problems)};
    if (!problems.empty()) throw Error(problems.front());
    rule.at_evaluations = std::any_of(rule.conditions.begin(), rule.conditions.end(),
                                      [](const Condition& c) { return held_out(c.signal); });
    rules_.push_back(std::move(rule));
  }
}

std::vector<std::string> Rules::owns() const {
  std::set<std::string> knobs;
  for (const Rule& rule : rules_) {
    if (!shared(rule.options.set)) knobs.insert(rule.options.set);
  }
  return {knobs.begin(), knobs.end()};
}

void Rules::act(const Rule& rule, KnobSetter& adjuster) {
  const RuleOptions& options = rule.options;
  const std::string text = fmt::format("{} for {} {}", options.when, options.hold,
                                       rule.at_evaluations ? "evaluations" : "steps");
  std::vector<std::string> signals;
  for (const Condition& condition : rule.conditions) signals.push_back(condition.signal);
  if (options.to) return adjuster.set(options.set, *options.to, text, signals);
  const Json now = adjuster.get(options.set);
  const Range range = find_knob(options.set)->range.value();
  const double low = options.min.value_or(range.min), high = options.max.value_or(range.max);
  const double value = std::min(high, std::max(low, now.get<double>() * *options.multiply));
  // A knob that counts something stays whole.
  adjuster.set(options.set, now.is_number_integer() ? Json(std::llround(value)) : Json(value), text,
               signals);
}

void Rules::judge(Rule& rule, int64_t step, const Signals& signals, KnobSetter& adjuster) {
  const RuleOptions& options = rule.options;
  if (rule.acted && (options.once || step - *rule.acted <= options.cooldown)) return;
  bool holds = true;
  for (const Condition& condition : rule.conditions) {
    if (rule.at_evaluations && !signals.find("loss") && !signals.find(condition.signal) &&
        !condition.signal.starts_with("validation")) {
      return;  // nothing has been trained
    }
    if (!rule.at_evaluations && !signals.fresh().contains(condition.signal)) return;
    holds = holds && condition.holds(detail::needed(signals, condition.signal));
  }
  rule.held = holds ? rule.held + 1 : 0;
  if (rule.held < options.hold) return;
  rule.held = 0;
  rule.acted = step;
  act(rule, adjuster);
}

void Rules::after_step(int64_t step, const Signals& signals, KnobSetter& adjuster) {
  for (Rule& rule : rules_) {
    if (!rule.at_evaluations) judge(rule, step, signals, adjuster);
  }
}

void Rules::after_evaluation(int64_t step, const Signals& signals, KnobSetter& adjuster) {
  for (Rule& rule : rules_) {
    if (rule.at_evaluations) judge(rule, step, signals, adjuster);
  }
}

Json Rules::state() const {
  Json list = Json::array();
  for (const Rule& rule : rules_) {
    list.push_back(
        {{"held", rule.held}, {"acted", rule.acted ? Json(*rule.acted) : Json(nullptr)}});
  }
  return {{"rules", list}};
}

void Rules::restore(const Json& state) {
  const Json& list = state.at("rules");
  if (list.size() != rules_.size()) {
    throw Error(fmt::format("the checkpoint has the state of {} rules, the recipe has {}",
                            list.size(), rules_.size()));
  }
  for (size_t i = 0; i < rules_.size(); ++i) {
    rules_[i].held = list[i].at("held");
    const Json& acted = list[i].at("acted");
    rules_[i].acted = acted.is_null() ? std::nullopt : std::optional(acted.get<int64_t>());
  }
}

void check_owners(const std::vector<RuleOptions>& rules, const Controllers& others,
                  const std::string& key, Validation& v) {
  for (size_t i = 0; i < rules.size(); ++i) {
    for (const auto& other : others) {
      const std::vector<std::string> owned = other->owns();
      if (std::find(owned.begin(), owned.end(), rules[i].set) == owned.end()) continue;
      v.problem(fmt::format("{}/{}/set", key, i), rules[i].set + " is set by the controller " +
                                                      other->name() +
                                                      ", which is enabled; turn one of them off");
    }
  }
}

}  // namespace hone::train
