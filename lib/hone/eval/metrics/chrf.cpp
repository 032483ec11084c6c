#include "hone/eval/metrics/chrf.h"

#include "hone/core/checked.h"
#include "hone/core/utf8.h"
#include "hone/eval/detail/ngrams.h"
#include "hone/unicode/python_text.h"

namespace hone::eval {
namespace {

/// Numbers of n-grams of one order.
struct Counts {
  int64_t hypothesis = 0, reference = 0, matches = 0;
};

double f_score(const std::vector<Counts>& orders, const ChrfOptions& options) {
  constexpr double kEps = 1e-16;
  const double factor = static_cast<double>(options.beta * options.beta);
  double sum = 0, precisions = 0, recalls = 0;
  int64_t effective = 0;
  for (const Counts& counts : orders) {
    const auto share = [&](int64_t all) {
      return all > 0 ? static_cast<double>(counts.matches) / static_cast<double>(all) : kEps;
    };
    const double precision = share(counts.hypothesis), recall = share(counts.reference);
    const double divisor = factor * precision + recall;
    sum += divisor > 0 ? (1 + factor) * precision * recall / divisor : kEps;
    if (counts.hypothesis > 0 && counts.reference > 0) {
      precisions += precision;
      recalls += recall;
      ++effective;
    }
  }
  if (options.eps_smoothing) return 100 * sum / static_cast<double>(orders.size());
  if (precisions + recalls == 0) return 0;
  precisions /= static_cast<double>(effective);
  recalls /= static_cast<double>(effective);
  return 100 * (1 + factor) * precisions * recalls / (factor * precisions + recalls);
}

std::vector<uint32_t> characters(std::string_view text, bool whitespace) {
  std::vector<uint32_t> out;
  out.reserve(text.size());
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    const char32_t c = next_char(p);
    if (whitespace || !unicode::py::is_space(c)) out.push_back(c);
  }
  return out;
}

/// Words with a punctuation mark at their end, or else at their beginning, as a word of its own.
std::vector<std::string_view> chrf_words(std::string_view text) {
  const auto is_mark = [](char c) {
    return std::string_view("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~").find(c) != std::string_view::npos;
  };
  std::vector<std::string_view> words;
  for (const std::string_view word : unicode::py::words(text)) {
    size_t split = 0;
    if (word.size() > sequence_length(word[0])) {
      split = is_mark(word.back()) ? word.size() - 1 : is_mark(word[0]) ? 1 : 0;
    }
    if (split > 0) words.push_back(word.substr(0, split));
    words.push_back(word.substr(split));
  }
  return words;
}

/// Counts for n = 1 to `orders` of the first sequence against each other one.
void count(std::vector<std::vector<uint32_t>> sequences, int64_t orders,
           std::vector<std::vector<Counts>>& by_reference) {
  detail::Ngrams ngrams(std::move(sequences));
  for (int64_t n = 0; n < orders; ++n, ngrams.next_order()) {
    for (size_t r = 0; r < by_reference.size(); ++r) {
      const int64_t all = ngrams.size(r + 1);
      by_reference[r].push_back(
          {all > 0 ? ngrams.size(0) : 0, all, ngrams.matches(0, r + 1, r + 2)});
    }
  }
}

/// Adds the counts against the best reference to those of the corpus.
void add_segment(const std::string& hypothesis, const std::vector<std::string>& references,
                 const ChrfOptions& options, std::vector<Counts>& corpus) {
  std::vector<std::string> texts{replace_invalid(hypothesis)};
  for (const auto& reference : references) texts.push_back(replace_invalid(reference));
  std::vector<std::vector<uint32_t>> chars;
  std::vector<std::vector<std::string_view>> words;
  for (std::string& text : texts) {
    if (options.lowercase) text = unicode::py::lower(text);
    chars.push_back(characters(text, options.whitespace));
    if (options.word_order > 0) words.push_back(chrf_words(text));
  }
  std::vector<std::vector<Counts>> by_reference(references.size());
  count(std::move(chars), options.char_order, by_reference);
  if (options.word_order > 0) {
    count(detail::number_words(words), options.word_order, by_reference);
  }

  size_t best = 0;
  double best_score = -1;
  for (size_t r = 0; r < by_reference.size(); ++r) {
    const double score = f_score(by_reference[r], options);
    if (score > best_score) {
      best = r;
      best_score = score;
    }
  }
  for (size_t n = 0; n < corpus.size(); ++n) {
    corpus[n].hypothesis += by_reference[best][n].hypothesis;
    corpus[n].reference += by_reference[best][n].reference;
    corpus[n].matches += by_reference[best][n].matches;
  }
}

}  // namespace

ChrfScore corpus_chrf(const Hypotheses& hypotheses, const References& references,
                      const ChrfOptions& options) {
  detail::check_segments("chrF", hypotheses, references);
  checked(options, "chrF");
  std::vector<Counts> corpus(static_cast<size_t>(options.char_order + options.word_order));
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    add_segment(hypotheses[i], references[i], options, corpus);
  }
  ChrfScore score;
  score.score = f_score(corpus, options);
  score.name = "chrF" + std::to_string(options.beta) +
               std::string(static_cast<size_t>(options.word_order), '+');
  score.signature = "nrefs:" + detail::reference_count(references) +
                    "|case:" + (options.lowercase ? "lc" : "mixed") +
                    "|eff:" + (options.eps_smoothing ? "no" : "yes") +
                    "|nc:" + std::to_string(options.char_order) +
                    "|nw:" + std::to_string(options.word_order) +
                    "|space:" + (options.whitespace ? "yes" : "no") + "|version:2.6.0";
  return score;
}

ChrfScore sentence_chrf(const std::string& hypothesis, const std::vector<std::string>& references,
                        const ChrfOptions& options) {
  return corpus_chrf({hypothesis}, {references}, options);
}

}  // namespace hone::eval
