/// Scores of short answers: exact match and word overlap, as SQuAD's evaluation has them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "hone/core/field.h"
#include "hone/eval/metrics/references.h"

namespace hone::eval {

/// What two answers may differ in and still be the same; all of it is SQuAD's rule, nothing of it
/// leaves texts as they are. In this order:
struct AnswerOptions {
  bool ignore_case = true;
  bool ignore_punctuation = true;
  bool ignore_articles = true;
  bool ignore_whitespace = true;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("ignore_case", self.ignore_case, "Lower-case both texts.");
    v("ignore_punctuation", self.ignore_punctuation, "Take ASCII punctuation out.");
    v("ignore_articles", self.ignore_articles, "Put a space in the place of the words a, an, the.");
    v("ignore_whitespace", self.ignore_whitespace,
      "Strip, and put one space in the place of each stretch of white space.");
  }
};

/// A text after what the options ignore is gone.
std::string normalize_answer(std::string_view text, const AnswerOptions& options = {});

/// Whether the hypothesis is one of the references, both normalised. Throws: Error if there is
/// none.
bool exact_match(const std::string& hypothesis, const std::vector<std::string>& references,
                 const AnswerOptions& options = {});

/// The best harmonic mean of precision and recall over words against a reference, both normalised,
/// 0 to 1. Of a text without words it is 1 against another such and 0 else (SQuAD 2.0's rule; 1.1
/// gives 0 to both). Throws: Error if there is no reference.
double token_f1(const std::string& hypothesis, const std::vector<std::string>& references,
                const AnswerOptions& options = {});

/// Means over segments, 0 to 1.
struct AnswerScore {
  double exact_match = 0, f1 = 0;
};

/// Throws: Error as corpus_bleu.
AnswerScore mean_answer_score(const Hypotheses& hypotheses, const References& references,
                              const AnswerOptions& options = {});

}  // namespace hone::eval
