#include "hone/tune/search.h"

#include <algorithm>
#include <set>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/log.h"
#include "hone/core/names.h"
#include "hone/core/random.h"
#include "hone/tune/samplers/random_sampler.h"

namespace hone::tune {
namespace {

/// Refused points recorded for one trial: enough for the sampler to learn from, too few to flood
/// the study.
constexpr int kRecordedRefusals = 5;
/// Draws after which the sampler, whose optimum may lie where nothing can run, gives way to chance.
constexpr int kSamplerDraws = 25;

Json external(const std::vector<Param>& params) {
  Json values = Json::object();
  for (const Param& param : params) {
    values[param.name] = external_value(param.distribution, param.value);
  }
  return values;
}

/// Values that a person or optuna gave an enqueued trial, as internal ones.
/// Throws: Error naming a parameter that the space lacks, or a value that it does not hold.
Suggestion fixed_params(const Trial& trial, const Space& space) {
  Suggestion fixed;
  const auto fix = [&](const std::string& name, const Json& value) {
    if (!space.distributions().contains(name)) {
      throw Error("it was enqueued with the parameter " + name + ", which this search has not" +
                  did_you_mean(name, space.names()));
    }
    try {
      fixed[name] = internal_value(space.distribution(name), value);
    } catch (const Error& error) {
      throw Error("it was enqueued with " + name + ": " + error.what());
    }
  };
  for (const Param& param : trial.params) {
    fix(param.name, external_value(param.distribution, param.value));
  }
  const auto given = trial.system_attrs.find(kFixedParams);
  if (given == trial.system_attrs.end() || !given->second.is_object()) return fixed;
  for (const auto& [name, value] : given->second.items()) fix(name, value);
  return fixed;
}

}  // namespace

bool refused(const Trial& trial) { return trial.user_attrs.contains(kRefused); }

std::string standing(const Trial& trial, const std::map<int64_t, int64_t>& again) {
  if (refused(trial)) return "refused";
  if (trial.state != TrialState::kFail) return enum_name(trial.state);
  return again.contains(trial.number) ? "interrupted" : "failed";
}

std::map<int64_t, int64_t> tried_again(const std::vector<TrialPtr>& trials) {
  std::map<int64_t, int64_t> again;
  for (const TrialPtr& trial : trials) {
    const auto history = trial->system_attrs.find("retry_history");
    if (history == trial->system_attrs.end() || !history->second.is_array()) continue;
    for (const Json& number : history->second) {
      if (number.is_number_integer()) again[number.get<int64_t>()] = trial->number;
    }
  }
  return again;
}

Search::Search(Storage& storage, const Study& study, const Space& space, Sampler& sampler,
               Pruner* pruner, FeasibilityCheck check, SearchOptions options)
    : storage_(storage),
      study_(study),
      space_(space),
      sampler_(sampler),
      pruner_(pruner),
      check_(std::move(check)),
      options_(std::move(options)) {
  if (!check_ || !options_.ask_candidates) return;
  sampler_.may_try = [this](const Suggestion& candidate) {
    std::vector<Param> params;
    for (const std::string& name : space_.names()) {
      const auto found = candidate.find(name);
      if (found == candidate.end() || !space_.active(name, params)) continue;
      params.push_back({name, found->second, space_.distribution(name)});
    }
    return check_(params).feasible();
  };
}

StudyView Search::view() { return {study_.name, study_.directions, storage_.trials(study_.id)}; }

int64_t Search::enqueue(int64_t trials) { return storage_.enqueue(study_.id, trials, kRefused); }

int64_t Search::enqueue_points(const std::vector<std::vector<Param>>& points, int64_t most) {
  std::set<std::string> tried;
  for (const TrialPtr& trial : storage_.trials(study_.id)) {
    if (trial->state == TrialState::kFail) continue;
    const auto fixed = trial->system_attrs.find(kFixedParams);
    tried.insert(fixed == trial->system_attrs.end() ? external(trial->params).dump()
                                                    : fixed->second.dump());
  }
  int64_t added = 0;
  for (size_t i = 0; i < points.size() && static_cast<int64_t>(tried.size()) < most; ++i) {
    Trial waiting;
    waiting.state = TrialState::kWaiting;
    waiting.system_attrs[kFixedParams] = external(points[i]);
    if (!tried.insert(waiting.system_attrs[kFixedParams].dump()).second) continue;
    storage_.create_trial(study_.id, &waiting);
    ++added;
  }
  return added;
}

std::optional<Trial> Search::ask() {
  storage_.fail_stale(study_.id, options_.retry);
  Attributes marks = options_.marks;
  marks[kWorker] = options_.worker;
  while (std::optional<Trial> trial = storage_.claim_waiting(study_.id, marks)) {
    if (draw(*trial)) return trial;
  }
  return std::nullopt;
}

bool Search::draw(Trial& trial) {
  sampler_.reseed(derive_seed(options_.seed, "trial " + std::to_string(trial.number)));
  Suggestion fixed;
  try {
    fixed = fixed_params(trial, space_);
  } catch (const Error& error) {
    fail_enqueued(trial, error.what());
    return false;
  }
  const Attributes before = trial.system_attrs;
  const auto blind =
      make_random_sampler(derive_seed(options_.seed, "blind " + std::to_string(trial.number)));
  Feasibility feasibility;
  for (int64_t i = 0; i < options_.max_draws; ++i) {
    const StudyView study = view();
    trial.system_attrs = before;
    Sampler& sampler = i < kSamplerDraws ? sampler_ : *blind;
    const std::vector<Param> params = suggest(
        space_, sampler, pruner_ ? pruner_->sampler_view(study, trial) : study, trial, fixed);
    feasibility = check_ ? check_(params) : Feasibility{};
    if (feasibility.feasible()) {
      accept(trial, params, feasibility);
      store_new_attrs(trial, before);
      return true;
    }
    if (!fixed.empty()) {
      refuse_enqueued(trial, params, feasibility);
      return false;
    }
    if (i < kRecordedRefusals) refuse(params, feasibility);
  }
  Trial waiting;
  waiting.state = TrialState::kWaiting;
  storage_.create_trial(study_.id, &waiting);
  storage_.finish(trial.id, TrialState::kFail);
  throw Error("no feasible point in " + std::to_string(options_.max_draws) +
              " draws of the space; the last was refused: " + feasibility.reason);
}

void Search::accept(Trial& trial, const std::vector<Param>& params,
                    const Feasibility& feasibility) {
  trial.params = params;
  storage_.set_params(trial.id, params);
  if (!feasibility.constraints.empty()) {
    trial.system_attrs[kConstraints] = feasibility.constraints;
  }
  if (!feasibility.facts.empty()) storage_.set_trial_attrs(trial.id, feasibility.facts);
  for (const auto& [key, value] : feasibility.facts) trial.user_attrs[key] = value;
}

void Search::refuse(const std::vector<Param>& params, const Feasibility& feasibility) {
  Trial trial;
  trial.state = TrialState::kPruned;
  trial.params = params;
  trial.user_attrs = feasibility.facts;
  trial.user_attrs[kRefused] = feasibility.reason;
  trial.user_attrs[kWorker] = options_.worker;
  trial.system_attrs[kConstraints] = feasibility.constraints;
  storage_.create_trial(study_.id, &trial);
}

void Search::refuse_enqueued(const Trial& trial, const std::vector<Param>& params,
                             const Feasibility& feasibility) {
  storage_.set_params(trial.id, params);
  Attributes facts = feasibility.facts;
  facts[kRefused] = feasibility.reason;
  storage_.set_trial_attrs(trial.id, facts);
  storage_.set_trial_attrs(trial.id, {{kConstraints, feasibility.constraints}}, /*system=*/true);
  storage_.finish(trial.id, TrialState::kPruned);
}

void Search::fail_enqueued(const Trial& trial, const std::string& reason) {
  log_warning("trial " + std::to_string(trial.number) + " failed: " + reason);
  storage_.set_trial_attrs(trial.id, {{kError, reason}});
  storage_.finish(trial.id, TrialState::kFail);
}

void Search::store_new_attrs(const Trial& trial, const Attributes& before) {
  Attributes changed;
  for (const auto& [key, value] : trial.system_attrs) {
    const auto old = before.find(key);
    if (old == before.end() || old->second != value) changed[key] = value;
  }
  if (!changed.empty()) storage_.set_trial_attrs(trial.id, changed, /*system=*/true);
}

bool Search::report(Trial& trial, int64_t step, double value) {
  storage_.report(trial.id, step, value);
  trial.intermediate[step] = value;
  if (!pruner_) return false;
  const Attributes before = trial.system_attrs;
  const bool stop = pruner_->prune(view(), trial);
  store_new_attrs(trial, before);
  return stop;
}

TrialState Search::tell(const Trial& trial, TrialState state, const std::vector<double>& values) {
  return storage_.finish(trial.id, state, values);
}

}  // namespace hone::tune
