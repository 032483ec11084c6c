/// Translation edit rate (Snover et al., 2006), equal to sacrebleu 2.6.0.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hone/core/field.h"
#include "hone/eval/metrics/references.h"

namespace hone::eval {

struct TerOptions {
  bool normalized = false;
  bool no_punct = false;
  bool asian_support = false;
  bool case_sensitive = false;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("normalized", self.normalized,
      "Set punctuation apart and read HTML entities, as Tercom does.");
    v("no_punct", self.no_punct, "Take punctuation out.");
    v("asian_support", self.asian_support,
      "Set Chinese and Japanese characters apart, and know their punctuation.");
    v("case_sensitive", self.case_sensitive, "Compare with regard to case.");
  }

  void validate(Validation& v) const;
};

struct TerScore {
  double score = 0;       ///< 100 * num_edits / ref_length: 0 is best, and it may be over 100
  int64_t num_edits = 0;  ///< words inserted, deleted, replaced, and stretches moved
  double ref_length = 0;  ///< words of the references: the mean of a segment's, summed
  std::string signature;  ///< sacrebleu's, "nrefs:1|case:lc|tok:tercom|...|version:2.6.0"
};

/// TER of all segments together; of several references the one nearest to the hypothesis counts.
/// Tercom's search is greedy and has limits: stretches of 10 words moved by 50, 1000 moves tried.
/// Throws: Error as corpus_bleu, and for a segment whose table would need over 1 GiB.
TerScore corpus_ter(const Hypotheses& hypotheses, const References& references,
                    const TerOptions& options = {});

/// TER of one segment. Throws: as corpus_ter.
TerScore sentence_ter(const std::string& hypothesis, const std::vector<std::string>& references,
                      const TerOptions& options = {});

}  // namespace hone::eval
