/// Scoring held-out data.
#pragma once
#include <ATen/core/Tensor.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/data/batch.h"

namespace hone::train {

/// Negative log-likelihood of one set of data under the model.
struct Score {
  std::string name;         ///< of the data set
  std::string domain;       ///< its domain's name
  int64_t tokens = 0;       ///< targets scored
  int64_t base_tokens = 0;  ///< targets of the same text under the base's tokenizer
  double nll = 0;           ///< summed negative log-likelihood of the targets, in nats

  /// exp(nll / base_tokens): per token of the base's tokenizer, so that values from before and
  /// after the vocabulary grew compare; the ordinary perplexity where it has not grown. NaN for a
  /// set without targets.
  double perplexity() const {
    return base_tokens > 0 ? std::exp(nll / static_cast<double>(base_tokens)) : std::nan("");
  }
};

/// A held-out set, ready to score.
struct EvaluationSet {
  std::string name;
  std::string domain;
  std::vector<data::Batch> batches;
  int64_t base_tokens = 0;  ///< see Score; 0 = as many as the batches' targets
};

/// Scores at one moment of a run.
struct Evaluation {
  int64_t step = 0;
  std::vector<Score> scores;
};

/// Gives the nll of each target of a batch, [T] float, 0 at ignored targets; called under no_grad.
using TokenNll = std::function<at::Tensor(const data::Batch&)>;

/// Scores every set, in order; each target counts 1, whatever its training weight.
/// Throws: Interrupted between two batches if a StopSignal lives and a signal came.
std::vector<Score> evaluate(const std::vector<EvaluationSet>& sets, const TokenNll& nll);

/// Joins the scores of sets of one domain; in order of first appearance, name = domain.
std::vector<Score> by_domain(const std::vector<Score>& scores);

/// Perplexities by domain.
Json perplexities(const std::vector<Score>& scores);

/// Scores as JSON for reports and checkpoints, with "perplexity" (null where not finite), and back.
Json scores_json(const std::vector<Score>& scores);
std::vector<Score> scores_from_json(const Json& json);

}  // namespace hone::train
