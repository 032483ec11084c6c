#include "hone/eval/objective_score.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "hone/eval/metrics/rouge.h"

namespace hone::eval {
namespace {

constexpr size_t kGroups = 20;

double score(const ObjectiveOptions& options, const eval::Hypotheses& texts,
             const eval::References& references) {
  switch (options.metric) {
    case Metric::kBleu:
      return eval::corpus_bleu(texts, references, options.bleu).score;
    case Metric::kChrf:
      return eval::corpus_chrf(texts, references, options.chrf).score;
    case Metric::kExactMatch:
      return eval::mean_answer_score(texts, references, options.answers).exact_match;
    case Metric::kTokenF1:
      return eval::mean_answer_score(texts, references, options.answers).f1;
    default: {
      constexpr std::array kTypes{eval::RougeType::k1, eval::RougeType::k2, eval::RougeType::kL,
                                  eval::RougeType::kLsum};
      const auto index = static_cast<size_t>(options.metric) - static_cast<size_t>(Metric::kRouge1);
      eval::RougeOptions rouge{.use_stemmer = options.rouge_stemmer};
      rouge.types = {kTypes.at(index)};
      return eval::mean_rouge(texts, references, rouge).front().fmeasure;
    }
  }
}

/// From the scores without each group in turn.
std::optional<double> jackknife_error(const ObjectiveOptions& options,
                                      const eval::Hypotheses& texts,
                                      const eval::References& references) {
  const size_t groups = std::min(kGroups, texts.size());
  if (groups < 2) return std::nullopt;
  std::vector<double> scores;
  for (size_t group = 0; group < groups; ++group) {
    eval::Hypotheses some;
    eval::References their;
    for (size_t i = 0; i < texts.size(); ++i) {
      if (i % groups == group) continue;
      some.push_back(texts[i]);
      their.push_back(references[i]);
    }
    scores.push_back(score(options, some, their));
  }
  double mean = 0, squares = 0;
  for (const double value : scores) mean += value / static_cast<double>(groups);
  for (const double value : scores) squares += (value - mean) * (value - mean);
  return std::sqrt(squares * static_cast<double>(groups - 1) / static_cast<double>(groups));
}

}  // namespace

Measurement mean_of(const std::vector<double>& rows) {
  const auto n = static_cast<double>(rows.size());
  double sum = 0, squares = 0;
  for (const double row : rows) sum += row;
  Measurement result{sum / n};
  for (const double row : rows) squares += (row - result.value) * (row - result.value);
  if (rows.size() > 1) result.standard_error = std::sqrt(squares / (n - 1) / n);
  return result;
}

Measurement text_score(const ObjectiveOptions& options, const eval::Hypotheses& texts,
                       const eval::References& references) {
  Measurement result{score(options, texts, references)};
  if (options.metric == Metric::kBleu || options.metric == Metric::kChrf) {
    result.standard_error = jackknife_error(options, texts, references);
    return result;
  }
  std::vector<double> rows;
  for (size_t i = 0; i < texts.size(); ++i)
    rows.push_back(score(options, {texts[i]}, {references[i]}));
  result.standard_error = mean_of(rows).standard_error;
  return result;
}

}  // namespace hone::eval
