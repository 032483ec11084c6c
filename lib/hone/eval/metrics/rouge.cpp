#include "hone/eval/metrics/rouge.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "hone/core/error.h"
#include "hone/core/utf8.h"
#include "hone/eval/detail/lcs.h"
#include "hone/eval/detail/ngrams.h"
#include "hone/eval/detail/porter_stemmer.h"
#include "hone/unicode/python_text.h"

namespace hone::eval {
namespace {

using Numbers = std::vector<uint32_t>;

bool is_word_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

struct Words {
  std::vector<std::string> all;
  std::vector<size_t> line_ends;  ///< words before the end of each line that has some
};

Words words_of(const std::string& text, bool use_stemmer) {
  const std::string line = unicode::py::lower(replace_invalid(text));
  Words words;
  for (size_t i = 0; i <= line.size();) {
    size_t end = i;
    while (end < line.size() && is_word_letter(line[end])) ++end;
    if (end > i) {
      std::string word = line.substr(i, end - i);
      if (use_stemmer && word.size() > 3) word = detail::porter_stem(std::move(word));
      if (!word.empty()) words.all.push_back(std::move(word));
    }
    const size_t before = words.line_ends.empty() ? 0 : words.line_ends.back();
    const bool line_ended = end == line.size() || line[end] == '\n';
    if (line_ended && words.all.size() > before) words.line_ends.push_back(words.all.size());
    i = end + 1;
  }
  return words;
}

/// A text against a reference, words as numbers.
struct Pair {
  Numbers hypothesis, reference;
  std::vector<Numbers> hypothesis_lines, reference_lines;
};

std::vector<Numbers> cut_lines(const Numbers& words, const std::vector<size_t>& ends) {
  std::vector<Numbers> lines;
  size_t begin = 0;
  for (const size_t end : ends) {
    lines.emplace_back(words.begin() + static_cast<std::ptrdiff_t>(begin),
                       words.begin() + static_cast<std::ptrdiff_t>(end));
    begin = end;
  }
  return lines;
}

RougeScore score_of(int64_t hits, int64_t hypothesis, int64_t reference) {
  RougeScore score;
  const auto share = [hits](int64_t all) {
    return static_cast<double>(hits) / static_cast<double>(std::max<int64_t>(all, 1));
  };
  score.precision = share(hypothesis);
  score.recall = share(reference);
  const double sum = score.precision + score.recall;
  if (sum > 0) score.fmeasure = 2 * score.precision * score.recall / sum;
  return score;
}

/// Words of the reference's lines that lie on a longest common subsequence with any line of the
/// hypothesis, no word oftener than either text has it.
int64_t summary_hits(const Pair& pair) {
  const auto count_words = [](const Numbers& words) {
    std::vector<int64_t> counts;
    for (const uint32_t word : words) {
      if (word >= counts.size()) counts.resize(word + 1);
      ++counts[word];
    }
    return counts;
  };
  std::vector<int64_t> left_h = count_words(pair.hypothesis);
  std::vector<int64_t> left_r = count_words(pair.reference);
  int64_t hits = 0;
  for (const Numbers& line : pair.reference_lines) {
    std::set<size_t> places;
    for (const Numbers& other : pair.hypothesis_lines) {
      const auto common = detail::lcs_places(line, other);
      places.insert(common.begin(), common.end());
    }
    for (const size_t place : places) {
      const uint32_t word = line[place];
      if (left_h[word] == 0 || left_r[word] == 0) continue;
      --left_h[word];
      --left_r[word];
      ++hits;
    }
  }
  return hits;
}

RougeScore score_pair(const Pair& pair, RougeType type) {
  const auto h = static_cast<int64_t>(pair.hypothesis.size());
  const auto r = static_cast<int64_t>(pair.reference.size());
  if (type == RougeType::kL) {
    return score_of(static_cast<int64_t>(detail::lcs_length(pair.reference, pair.hypothesis)), h,
                    r);
  }
  if (type == RougeType::kLsum) return score_of(summary_hits(pair), h, r);
  detail::Ngrams ngrams({pair.hypothesis, pair.reference});
  for (RougeType n = RougeType::k1; n != type;
       n = static_cast<RougeType>(static_cast<int>(n) + 1)) {
    ngrams.next_order();
  }
  return score_of(ngrams.matches(0, 1, 2), ngrams.size(0), ngrams.size(1));
}

}  // namespace

void RougeOptions::validate(Validation& v) const {
  if (types.empty())
    v.problem("types", "must name at least one of rouge1 to rouge9, rougeL, rougeLsum");
}

std::vector<RougeScore> rouge(const std::string& hypothesis,
                              const std::vector<std::string>& references,
                              const RougeOptions& options) {
  if (references.empty()) throw Error("ROUGE: there is no reference to compare with");
  if (options.types.empty()) throw Error("ROUGE: types names no score to compute");
  const Words words = words_of(hypothesis, options.use_stemmer);
  std::vector<RougeScore> best;
  for (const std::string& reference : references) {
    const Words other = words_of(reference, options.use_stemmer);
    auto numbers = detail::number_words(
        {{words.all.begin(), words.all.end()}, {other.all.begin(), other.all.end()}});
    Pair pair;
    pair.hypothesis_lines = cut_lines(numbers[0], words.line_ends);
    pair.reference_lines = cut_lines(numbers[1], other.line_ends);
    pair.hypothesis = std::move(numbers[0]);
    pair.reference = std::move(numbers[1]);
    const bool first = best.empty();
    if (first) best.resize(options.types.size());
    for (size_t i = 0; i < best.size(); ++i) {
      const RougeScore score = score_pair(pair, options.types[i]);
      if (first || score.fmeasure > best[i].fmeasure) best[i] = score;
    }
  }
  return best;
}

std::vector<RougeScore> mean_rouge(const Hypotheses& hypotheses, const References& references,
                                   const RougeOptions& options) {
  detail::check_segments("ROUGE", hypotheses, references);
  std::vector<RougeScore> mean(options.types.size());
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    const auto scores = rouge(hypotheses[i], references[i], options);
    for (size_t t = 0; t < scores.size(); ++t) {
      mean[t].precision += scores[t].precision;
      mean[t].recall += scores[t].recall;
      mean[t].fmeasure += scores[t].fmeasure;
    }
  }
  const auto count = static_cast<double>(hypotheses.size());
  for (RougeScore& score : mean) {
    score.precision /= count;
    score.recall /= count;
    score.fmeasure /= count;
  }
  return mean;
}

}  // namespace hone::eval
