#include "hone/eval/metrics/ter.h"

#include <algorithm>
#include <utility>

#include "hone/core/utf8.h"
#include "hone/eval/detail/mt_tokenizer.h"
#include "hone/eval/detail/ngrams.h"
#include "hone/eval/detail/ter_edits.h"
#include "hone/unicode/python_text.h"

namespace hone::eval {
namespace {

std::string preprocess(const std::string& text, const TerOptions& options) {
  const std::string valid = replace_invalid(text);
  std::string line(unicode::py::strip(valid, unicode::py::kRight));
  if (!options.case_sensitive) line = unicode::py::lower(line);
  return unicode::py::squeeze_spaces(detail::ter_tokenize(std::move(line), options));
}

/// Adds a segment's edits and length to the score's.
void add_segment(const std::string& hypothesis, const std::vector<std::string>& references,
                 const TerOptions& options, TerScore& score) {
  std::vector<std::string> texts{preprocess(hypothesis, options)};
  // sacrebleu tokenises references twice, which tells where normalized sets only then "'s" apart.
  for (const std::string& reference : references) {
    texts.push_back(preprocess(preprocess(reference, options), options));
  }
  std::vector<std::vector<std::string_view>> words;
  for (const std::string& text : texts) words.push_back(unicode::py::words(text));
  const auto numbers = detail::number_words(words);

  int64_t fewest = detail::ter_edits(numbers[0], numbers[1]);
  size_t length = numbers[1].size();
  for (size_t r = 2; r < numbers.size(); ++r) {
    fewest = std::min(fewest, detail::ter_edits(numbers[0], numbers[r]));
    length += numbers[r].size();
  }
  score.num_edits += fewest;
  score.ref_length += static_cast<double>(length) / static_cast<double>(references.size());
}

}  // namespace

void TerOptions::validate(Validation& v) const {
  if (!normalized && !no_punct) v.no_effect("asian_support", "without normalized or no_punct");
}

TerScore corpus_ter(const Hypotheses& hypotheses, const References& references,
                    const TerOptions& options) {
  detail::check_segments("TER", hypotheses, references);
  TerScore score;
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    add_segment(hypotheses[i], references[i], options, score);
  }
  if (score.ref_length > 0) {
    score.score = 100 * static_cast<double>(score.num_edits) / score.ref_length;
  } else {
    score.score = score.num_edits > 0 ? 100 : 0;
  }
  const auto yes = [](bool value) { return value ? "yes" : "no"; };
  score.signature = "nrefs:" + detail::reference_count(references) +
                    "|case:" + (options.case_sensitive ? "mixed" : "lc") +
                    "|tok:tercom|norm:" + yes(options.normalized) +
                    "|punct:" + yes(!options.no_punct) + "|asian:" + yes(options.asian_support) +
                    "|version:2.6.0";
  return score;
}

TerScore sentence_ter(const std::string& hypothesis, const std::vector<std::string>& references,
                      const TerOptions& options) {
  return corpus_ter({hypothesis}, {references}, options);
}

}  // namespace hone::eval
