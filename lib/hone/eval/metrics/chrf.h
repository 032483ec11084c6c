/// chrF (Popović, 2015) and chrF++ (Popović, 2017), equal to sacrebleu 2.6.0.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hone/core/field.h"
#include "hone/eval/metrics/references.h"

namespace hone::eval {

/// F-score of character n-grams; with word_order 2 also of words and word pairs: chrF++.
struct ChrfOptions {
  int64_t char_order = 6;
  int64_t word_order = 0;
  int64_t beta = 2;
  bool lowercase = false;
  bool whitespace = false;
  bool eps_smoothing = false;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("char_order", self.char_order, "Longest character n-grams compared.", Range{1, 100});
    v("word_order", self.word_order, "Longest word n-grams compared; 2 makes it chrF++.",
      Range{0, 100});
    v("beta", self.beta, "How much more recall counts than precision.", Range{0, 100});
    v("lowercase", self.lowercase, "Compare without regard to case.");
    v("whitespace", self.whitespace, "Characters include white space.");
    v("eps_smoothing", self.eps_smoothing,
      "Count orders for which texts are too short as almost 0 (as NLTK and Moses do) instead of "
      "leaving them out.");
  }
};

struct ChrfScore {
  double score = 0;       ///< 0 to 100
  std::string name;       ///< "chrF2", "chrF2++"
  std::string signature;  ///< sacrebleu's, "nrefs:1|case:mixed|eff:yes|nc:6|...|version:2.6.0"
};

/// chrF of all segments together; of several references the one with the best F-score counts.
/// Linear in the texts' length. Throws: Error as corpus_bleu.
ChrfScore corpus_chrf(const Hypotheses& hypotheses, const References& references,
                      const ChrfOptions& options = {});

/// chrF of one segment. Throws: as corpus_chrf.
ChrfScore sentence_chrf(const std::string& hypothesis, const std::vector<std::string>& references,
                        const ChrfOptions& options = {});

}  // namespace hone::eval
