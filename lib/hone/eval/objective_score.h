/// Scores of generated texts, with how far chance in the rows may have moved them.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "hone/eval/metrics/references.h"
#include "hone/eval/objective.h"

namespace hone::eval {

/// The value of a text metric and its standard error over the rows: of a mean over rows (exact
/// match, F1, ROUGE) the rows' deviation by sqrt(n); of BLEU and chrF, which are no means, the
/// jackknife's over 20 groups of rows (each row one group where there are fewer).
Measurement text_score(const ObjectiveOptions& options, const eval::Hypotheses& texts,
                       const eval::References& references);

/// The mean of the rows and its standard error.
Measurement mean_of(const std::vector<double>& rows);

}  // namespace hone::eval
