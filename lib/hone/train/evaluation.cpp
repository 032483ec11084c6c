#include "hone/train/evaluation.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "hone/machine/stop_signal.h"

namespace hone::train {
namespace {

/// JSON has no NaN: null stands for a number that is not finite.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

}  // namespace

std::vector<Score> evaluate(const std::vector<EvaluationSet>& sets, const TokenNll& nll) {
  const torch::NoGradGuard no_grad;
  std::vector<Score> scores;
  for (const EvaluationSet& set : sets) {
    Score score{set.name, set.domain};
    for (const data::Batch& batch : set.batches) {
      machine::StopSignal::check();
      score.nll += nll(batch).sum(at::kDouble).item<double>();
      score.tokens += batch.trained();
    }
    score.base_tokens = set.base_tokens > 0 ? set.base_tokens : score.tokens;
    scores.push_back(std::move(score));
  }
  return scores;
}

Json perplexities(const std::vector<Score>& scores) {
  Json domains = Json::object();
  for (const Score& score : by_domain(scores)) domains[score.domain] = score.perplexity();
  return domains;
}

std::vector<Score> by_domain(const std::vector<Score>& scores) {
  std::vector<Score> domains;
  for (const Score& score : scores) {
    auto found = std::find_if(domains.begin(), domains.end(),
                              [&](const Score& d) { return d.domain == score.domain; });
    if (found == domains.end()) {
      domains.push_back({score.domain, score.domain});
      found = domains.end() - 1;
    }
    found->tokens += score.tokens;
    found->base_tokens += score.base_tokens;
    found->nll += score.nll;
  }
  return domains;
}

Json scores_json(const std::vector<Score>& scores) {
  Json list = Json::array();
  for (const Score& score : scores) {
    list.push_back({{"name", score.name},
                    {"domain", score.domain},
                    {"tokens", score.tokens},
                    {"base_tokens", score.base_tokens},
                    {"nll", number(score.nll)},
                    {"perplexity", number(score.perplexity())}});
  }
  return list;
}

std::vector<Score> scores_from_json(const Json& json) {
  std::vector<Score> scores;
  for (const Json& row : json) {
    scores.push_back({row.at("name"), row.at("domain"), row.at("tokens"), row.at("base_tokens"),
                      row.at("nll").is_null() ? std::nan("") : row.at("nll").get<double>()});
  }
  return scores;
}

}  // namespace hone::train
