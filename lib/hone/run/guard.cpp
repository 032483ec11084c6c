#include "hone/run/guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "hone/core/log.h"
#include "hone/data/loader.h"
#include "hone/run/data.h"
#include "hone/run/report.h"
#include "hone/train/loop.h"

namespace hone::run {
namespace {

/// The other domains keep a part of the mix: more would bring the guarded one back no faster.
constexpr double kMostShare = 0.95;

/// In logarithms: a limit of next to nothing must not make every excess a huge one.
constexpr double kLeastLimit = 0.05;

Json number(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

std::optional<double> number(const Json& state, const char* key) {
  const Json value = state.value(key, Json());
  return value.is_null() ? std::nullopt : std::optional(value.get<double>());
}

}  // namespace

std::optional<double> Guard::ratio_of(const std::vector<train::Score>& scores) const {
  if (!reference_) return std::nullopt;
  for (const train::Score& score : train::by_domain(scores)) {
    if (score.domain == options_.domain) return score.perplexity() / *reference_;
  }
  return std::nullopt;
}

void Guard::set_reference(const std::vector<train::Score>& scores) {
  for (const train::Score& score : train::by_domain(scores)) {
    if (score.domain == options_.domain) reference_ = score.perplexity();
  }
}

void Guard::begin(const std::vector<train::Score>& scores) {
  ratio_ = start_ = ratio_of(scores);
  was_within_ = held();
}

bool Guard::judge(const std::vector<train::Score>& scores) {
  const auto now = ratio_of(scores);
  if (!now) return true;
  before_ = std::exchange(ratio_, now);
  const double most = limit();
  was_within_ = was_within_ || held();
  return *ratio_ <= most;
}

double Guard::limit() const {
  const bool excused = !was_within_ && start_ && *start_ > options_.max_ratio;
  return excused ? *start_ : options_.max_ratio;
}

std::optional<double> Guard::next_share(double share) {
  if (!ratio_ || !(share > 0)) return std::nullopt;
  first_share_ = first_share_.value_or(share);
  const double limit = std::log(options_.max_ratio), now = std::log(*ratio_);
  const double expected = 2 * now - std::log(before_.value_or(1));
  double wanted = share;
  raises_ = now <= limit ? 0 : raises_ + 1;
  if (!(now <= limit)) {
    const double limits = std::isfinite(now) ? now / std::max(limit, kLeastLimit) : 0;
    wanted = share * std::pow(options_.rebalance_factor, std::max(raises_, limits));
  } else if (!(expected <= limit)) {
    wanted = share * options_.rebalance_factor;
  } else if (std::max(now, expected) <= limit / 2) {
    wanted = std::max(std::min(share, *first_share_), share / std::sqrt(options_.rebalance_factor));
  }
  wanted = std::min(wanted, std::max(share, kMostShare));
  return wanted == share ? std::nullopt : std::optional(wanted);
}

Json Guard::save() const {
  return {{"reference", number(reference_)},    {"ratio", number(ratio_)},
          {"before", number(before_)},          {"start", number(start_)},
          {"was_within", was_within_},          {"raises", raises_},
          {"first_share", number(first_share_)}};
}

void Guard::load(const Json& state) {
  reference_ = number(state, "reference");
  ratio_ = number(state, "ratio");
  before_ = number(state, "before");
  start_ = number(state, "start");
  was_within_ = state.value("was_within", true);
  raises_ = state.value("raises", 0.0);
  first_share_ = number(state, "first_share");
}

void Guard::attach(train::Task& task, optim::Optimizer&) {
  task.save_evaluated = options_.action == GuardAction::kStop;
  task.first_evaluation = [this](const train::Evaluation& evaluation) {
    begin(evaluation.scores);
    if (!ratio_ || held()) return;
    log_warning(fmt::format(
        "guard: perplexity of {} is {:.3f} times that of the base before the first guarded step, "
        "limit {}; until it has been within, it may only get no worse",
        *options_.domain, *ratio_, options_.max_ratio));
  };
}

std::string Guard::evaluated(const train::Evaluation& evaluation, bool last) {
  const bool passed = judge(evaluation.scores);
  if (options_.action == GuardAction::kRebalance) {
    if (!last) rebalance();
    return "";
  }
  if (passed) return "";
  log_warning(fmt::format("guard: perplexity of {} is {:.3f} times that of the base, over {}",
                          *options_.domain, *ratio_, limit()));
  return "stopped by the guard";
}

void Guard::rebalance() {
  const std::string& domain = *options_.domain;
  data::Loader& loader = run_->loader;
  std::vector<std::string> domains;
  for (const data::DatasetPtr& set : run_->data.train) domains.push_back(set->domain);
  const double share = share_of(domain, loader.shares(), domains);
  const auto wanted = next_share(share);
  if (wanted) {
    loader.set_weights(with_share(loader.weights(), domain, domains, share, *wanted));
  } else if (held()) {
    return;
  }
  const std::string text = fmt::format(
      "guard: perplexity of {} is {:.3f} times that of the base, limit {}; its share of the mix {}",
      domain, ratio_.value_or(std::nan("")), options_.max_ratio,
      wanted ? fmt::format("goes from {:.3f} to {:.3f}", share, *wanted)
             : fmt::format("stays at {:.3f}", share));
  held() ? log_info(text) : log_warning(text);
}

/// `ratio` is of the model as the run leaves it, as is the verdict; `last_ratio` of the last
/// evaluation: the one that stopped the run where it did.
Json Guard::verdict(const EndedRun& run) const {
  const auto ratio = [this](const train::Evaluation* evaluation) {
    return evaluation ? ratio_of(evaluation->scores) : std::nullopt;
  };
  const auto finite = [](const std::optional<double>& value) {
    return value && std::isfinite(*value) ? Json(*value) : Json(nullptr);
  };
  const auto left = ratio(run.final_evaluation());
  Json verdict;
  if (left) verdict = *left <= options_.max_ratio ? "held" : "violated";
  return {{"domain", *options_.domain},
          {"max_ratio", options_.max_ratio},
          {"ratio", finite(left)},
          {"verdict", std::move(verdict)},
          {"last_ratio", finite(ratio(run.last_evaluation()))},
          {"returned_to", run.returned_to ? Json(*run.returned_to) : Json(nullptr)}};
}

void Guard::report(const EndedRun& run, Json& report) {
  Json whole = Json::object();
  for (auto& [key, value] : report.items()) {
    whole[key] = std::move(value);
    if (key == "after") whole[name()] = verdict(run);  // beside the scores that it judges
  }
  report = std::move(whole);
  const std::string text = guard_verdict(report);
  if (text.empty()) return;
  report.at(name()).at("verdict") == "held" ? log_info(text) : log_warning(text);
}

double share_of(const std::string& domain, const std::vector<double>& shares,
                const std::vector<std::string>& domains) {
  double share = 0;
  for (size_t i = 0; i < shares.size(); ++i) {
    if (domains[i] == domain) share += shares[i];
  }
  return share;
}

std::vector<double> with_share(std::vector<double> weights, const std::string& domain,
                               const std::vector<std::string>& domains, double share,
                               double wanted) {
  const double factor = wanted / (1 - wanted) * (1 - share) / share;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (domains[i] == domain) weights[i] *= factor;
  }
  return weights;
}

}  // namespace hone::run
