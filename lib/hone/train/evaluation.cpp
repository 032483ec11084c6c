#include "hone/train/evaluation.h"

#include <torch/torch.h>

#include <algorithm>

namespace hone::train {

std::vector<Score> evaluate(const std::vector<EvaluationSet>& sets, const TokenNll& nll) {
  const torch::NoGradGuard no_grad;
  std::vector<Score> scores;
  for (const EvaluationSet& set : sets) {
    Score score{set.name, set.domain};
    for (const data::Batch& batch : set.batches) {
      score.nll += nll(batch).sum(at::kDouble).item<double>();
      score.tokens += static_cast<int64_t>(batch.targets.size()) -
                      std::count(batch.targets.begin(), batch.targets.end(), data::kIgnoreIndex);
    }
    scores.push_back(std::move(score));
  }
  return scores;
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
    found->nll += score.nll;
  }
  return domains;
}

}  // namespace hone::train
