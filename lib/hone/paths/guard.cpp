#include "hone/paths/guard.h"

namespace hone::paths {

std::optional<double> Guard::guarded_perplexity(const std::vector<train::Score>& scores) const {
  for (const train::Score& score : train::by_domain(scores)) {
    if (score.domain == options_.domain) return score.perplexity();
  }
  return std::nullopt;
}

void Guard::set_reference(const std::vector<train::Score>& scores) {
  reference_ = guarded_perplexity(scores);
}

Guard::Verdict Guard::judge(const std::vector<train::Score>& scores) {
  const auto now = guarded_perplexity(scores);
  if (!reference_ || !now) return Verdict::kFine;
  ratio_ = *now / *reference_;
  if (*ratio_ <= options_.max_ratio) return Verdict::kFine;
  return options_.action == GuardAction::kStop ? Verdict::kStop : Verdict::kRebalance;
}

std::vector<double> Guard::rebalance(std::vector<double> weights,
                                     const std::vector<std::string>& domains) const {
  for (size_t i = 0; i < weights.size(); ++i) {
    if (domains[i] == options_.domain) weights[i] *= options_.rebalance_factor;
  }
  return weights;
}

Json Guard::state() const {
  const auto number = [](const std::optional<double>& value) {
    return value ? Json(*value) : Json(nullptr);
  };
  return {{"reference", number(reference_)}, {"ratio", number(ratio_)}};
}

void Guard::restore(const Json& state) {
  const auto number = [&](const char* key) -> std::optional<double> {
    const Json& value = state.at(key);
    return value.is_null() ? std::nullopt : std::optional(value.get<double>());
  };
  reference_ = number("reference");
  ratio_ = number("ratio");
}

}  // namespace hone::paths
