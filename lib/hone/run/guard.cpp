#include "hone/run/guard.h"

#include <algorithm>
#include <cmath>
#include <utility>

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

Json Guard::state() const {
  return {{"reference", number(reference_)},    {"ratio", number(ratio_)},
          {"before", number(before_)},          {"start", number(start_)},
          {"was_within", was_within_},          {"raises", raises_},
          {"first_share", number(first_share_)}};
}

void Guard::restore(const Json& state) {
  reference_ = number(state, "reference");
  ratio_ = number(state, "ratio");
  before_ = number(state, "before");
  start_ = number(state, "start");
  was_within_ = state.value("was_within", true);
  raises_ = state.value("raises", 0.0);
  first_share_ = number(state, "first_share");
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
