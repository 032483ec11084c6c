#include "hone/eval/metrics/bleu.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "hone/core/checked.h"
#include "hone/core/utf8.h"
#include "hone/eval/detail/mt_tokenizer.h"
#include "hone/eval/detail/ngrams.h"
#include "hone/unicode/python_text.h"

namespace hone::eval {
namespace {

/// sacrebleu's logarithm of 0.
constexpr double kLogZero = -9999999999.0;

bool takes_value(BleuSmoothing smoothing) {
  return smoothing == BleuSmoothing::kFloor || smoothing == BleuSmoothing::kAddK;
}

double smooth_value(const BleuOptions& options) {
  return options.smooth_value.value_or(options.smooth_method == BleuSmoothing::kFloor ? 0.1 : 1.0);
}

std::string preprocess(const std::string& text, const BleuOptions& options) {
  std::string line = replace_invalid(text);
  if (options.lowercase) line = unicode::py::lower(line);
  return detail::mt_tokenize(unicode::py::strip(line, unicode::py::kRight), options.tokenize);
}

/// Adds a segment's counts to the score's.
void add_segment(const std::string& hypothesis, const std::vector<std::string>& references,
                 const BleuOptions& options, BleuScore& score) {
  std::vector<std::string> texts{preprocess(hypothesis, options)};
  for (const std::string& reference : references) texts.push_back(preprocess(reference, options));
  std::vector<std::vector<std::string_view>> tokens;
  for (const std::string& text : texts) tokens.push_back(unicode::py::words(text));

  const auto length = [&](size_t i) { return static_cast<int64_t>(tokens[i].size()); };
  int64_t nearest = length(1);
  for (size_t i = 2; i < tokens.size(); ++i) {
    const int64_t difference = std::abs(length(i) - length(0)) - std::abs(nearest - length(0));
    if (difference < 0 || (difference == 0 && length(i) < nearest)) nearest = length(i);
  }
  score.sys_len += length(0);
  score.ref_len += nearest;

  detail::Ngrams ngrams(detail::number_words(tokens));
  for (size_t n = 0; n < score.counts.size() && ngrams.size(0) > 0; ++n, ngrams.next_order()) {
    score.counts[n] += static_cast<double>(ngrams.matches(0, 1, tokens.size()));
    score.totals[n] += static_cast<double>(ngrams.size(0));
  }
}

/// Precisions, penalty and score from the counts.
void finish(const BleuOptions& options, BleuScore& score) {
  if (score.sys_len < score.ref_len) {
    const double ratio = static_cast<double>(score.ref_len) / static_cast<double>(score.sys_len);
    score.bp = score.sys_len > 0 ? std::exp(1 - ratio) : 0.0;
  }
  if (std::all_of(score.counts.begin(), score.counts.end(), [](double c) { return c == 0; }))
    return;

  const double value = smooth_value(options);
  double halves = 1;
  size_t order = score.counts.size();
  for (size_t n = 0; n < score.counts.size(); ++n) {
    double &count = score.counts[n], &total = score.totals[n];
    if (options.smooth_method == BleuSmoothing::kAddK && n > 0) {
      count += value;
      total += value;
    }
    if (total == 0) break;
    if (options.effective_order) order = n + 1;
    double matches = count;
    if (count == 0 && options.smooth_method == BleuSmoothing::kExp) matches = 1 / (halves *= 2);
    if (count == 0 && options.smooth_method == BleuSmoothing::kFloor) matches = value;
    score.precisions[n] = 100 * matches / total;
  }
  double sum = 0;
  for (size_t n = 0; n < order; ++n) {
    sum += score.precisions[n] == 0 ? kLogZero : std::log(score.precisions[n]);
  }
  score.score = score.bp * std::exp(sum / static_cast<double>(order));
}

std::string signature(const References& references, const BleuOptions& options) {
  std::string smooth = enum_name(options.smooth_method);
  if (takes_value(options.smooth_method)) {
    char value[32];
    std::snprintf(value, sizeof value, "[%.2f]", smooth_value(options));
    smooth += value;
  }
  return "nrefs:" + detail::reference_count(references) +
         "|case:" + (options.lowercase ? "lc" : "mixed") +
         "|eff:" + (options.effective_order ? "yes" : "no") +
         "|tok:" + enum_name(options.tokenize) + "|smooth:" + smooth + "|version:2.6.0";
}

}  // namespace

void BleuOptions::validate(Validation& v) const {
  const std::string reason = detail::unavailable_reason(tokenize);
  if (!reason.empty()) v.problem("tokenize", reason);
  if (!takes_value(smooth_method)) {
    v.no_effect("smooth_value", "with smooth_method " + enum_name(smooth_method));
  }
}

BleuScore corpus_bleu(const Hypotheses& hypotheses, const References& references,
                      const BleuOptions& options) {
  detail::check_segments("BLEU", hypotheses, references);
  checked(options, "BLEU");
  const auto orders = static_cast<size_t>(options.max_ngram_order);
  BleuScore score;
  score.precisions.resize(orders);
  score.counts.resize(orders);
  score.totals.resize(orders);
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    add_segment(hypotheses[i], references[i], options, score);
  }
  finish(options, score);
  score.signature = signature(references, options);
  return score;
}

BleuScore sentence_bleu(const std::string& hypothesis, const std::vector<std::string>& references,
                        const BleuOptions& options) {
  return corpus_bleu({hypothesis}, {references}, options);
}

}  // namespace hone::eval
