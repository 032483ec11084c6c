/// Scoring held-out data.
#pragma once
#include <ATen/core/Tensor.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "hone/data/batch.h"

namespace hone::train {

/// Negative log-likelihood of one set of data under the model.
struct Score {
  std::string name;    ///< of the data set
  std::string domain;  ///< its domain's name
  int64_t tokens = 0;  ///< targets scored
  double nll = 0;      ///< their summed negative log-likelihood, in nats

  /// exp of the mean; NaN for a set without targets.
  double perplexity() const {
    return tokens > 0 ? std::exp(nll / static_cast<double>(tokens)) : std::nan("");
  }
};

/// A held-out set, ready to score.
struct EvaluationSet {
  std::string name;
  std::string domain;
  std::vector<data::Batch> batches;
};

/// Gives the nll of each target of a batch, [T] float, 0 at ignored targets; called under no_grad.
using TokenNll = std::function<at::Tensor(const data::Batch&)>;

/// Scores every set, in order; each target counts 1, whatever its training weight.
std::vector<Score> evaluate(const std::vector<EvaluationSet>& sets, const TokenNll& nll);

/// Joins the scores of sets of one domain; in order of first appearance, name = domain.
std::vector<Score> by_domain(const std::vector<Score>& scores);

}  // namespace hone::train
