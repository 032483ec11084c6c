#include "hone/eval/metrics/exact_match.h"

#include <algorithm>

#include "hone/core/error.h"
#include "hone/eval/detail/ngrams.h"
#include "hone/unicode/python_text.h"
#include "hone/unicode/unicode.h"

namespace hone::eval {
namespace {

bool is_punctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

/// What Python's \w holds: letters, numbers and the underscore; no marks.
bool is_word_char(char32_t c) {
  return c == '_' || (unicode::char_classes()[c] & (unicode::kLetter | unicode::kNumber)) != 0;
}

std::string remove_articles(std::string_view text) {
  std::string out, word;
  const auto end_word = [&] {
    out += word == "a" || word == "an" || word == "the" ? " " : word;
    word.clear();
  };
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    const char* const begin = p;
    if (is_word_char(next_char(p))) {
      word.append(begin, p);
    } else {
      end_word();
      out.append(begin, p);
    }
  }
  end_word();
  return out;
}

void check_references(const char* who, const std::vector<std::string>& references) {
  if (references.empty()) {
    throw Error(std::string(who) + ": there is no reference to compare with");
  }
}

}  // namespace

std::string normalize_answer(std::string_view text, const AnswerOptions& options) {
  std::string out = replace_invalid(text);
  if (options.ignore_case) out = unicode::py::lower(out);
  if (options.ignore_punctuation) std::erase_if(out, is_punctuation);
  if (options.ignore_articles) out = remove_articles(out);
  if (options.ignore_whitespace) out = unicode::py::squeeze_spaces(out);
  return out;
}

bool exact_match(const std::string& hypothesis, const std::vector<std::string>& references,
                 const AnswerOptions& options) {
  check_references("exact_match", references);
  const std::string answer = normalize_answer(hypothesis, options);
  return std::any_of(references.begin(), references.end(), [&](const std::string& reference) {
    return normalize_answer(reference, options) == answer;
  });
}

double token_f1(const std::string& hypothesis, const std::vector<std::string>& references,
                const AnswerOptions& options) {
  check_references("token_f1", references);
  const std::string answer = normalize_answer(hypothesis, options);
  double best = 0;
  for (const std::string& reference : references) {
    const std::string right = normalize_answer(reference, options);
    detail::Ngrams words(
        detail::number_words({unicode::py::words(answer), unicode::py::words(right)}));
    const int64_t total = words.size(0) + words.size(1);
    const bool one_empty = words.size(0) == 0 || words.size(1) == 0;
    const double f1 =
        one_empty ? (total == 0 ? 1.0 : 0.0)
                  : 2.0 * static_cast<double>(words.matches(0, 1, 2)) / static_cast<double>(total);
    best = std::max(best, f1);
  }
  return best;
}

AnswerScore mean_answer_score(const Hypotheses& hypotheses, const References& references,
                              const AnswerOptions& options) {
  detail::check_segments("exact_match", hypotheses, references);
  AnswerScore mean;
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    mean.exact_match += exact_match(hypotheses[i], references[i], options) ? 1 : 0;
    mean.f1 += token_f1(hypotheses[i], references[i], options);
  }
  mean.exact_match /= static_cast<double>(hypotheses.size());
  mean.f1 /= static_cast<double>(hypotheses.size());
  return mean;
}

}  // namespace hone::eval
