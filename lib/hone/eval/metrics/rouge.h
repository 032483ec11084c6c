/// ROUGE (Lin, 2004), equal to rouge_score 0.1.2.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/eval/metrics/references.h"

namespace hone::eval {

enum class RougeType {
  k1,  ///< single words; k2 pairs, and so on
  k2,
  k3,
  k4,
  k5,
  k6,
  k7,
  k8,
  k9,
  kL,     ///< longest common subsequence
  kLsum,  ///< of sentences, which are lines, joined over the summary
};

struct RougeOptions {
  std::vector<RougeType> types{RougeType::k1, RougeType::k2, RougeType::kL, RougeType::kLsum};
  bool use_stemmer = false;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("types", self.types, "Which scores: rouge1 to rouge9 (n-grams), rougeL, rougeLsum.");
    v("use_stemmer", self.use_stemmer,
      "Compare the stems of English words of four letters or more.");
  }

  void validate(Validation& v) const;
};

struct RougeScore {
  double precision = 0, recall = 0, fmeasure = 0;  ///< 0 to 1
};

/// The scores of one text, one a type in the order of options.types. Words are stretches of a-z and
/// 0-9 after lower-casing: nothing else counts, so texts in other scripts score 0. Of several
/// references each type takes the first one with the best F-measure (rouge_score's score_multi).
/// Throws: Error if there is no reference or no type.
std::vector<RougeScore> rouge(const std::string& hypothesis,
                              const std::vector<std::string>& references,
                              const RougeOptions& options = {});

/// The mean of each segment's scores, what rouge_score's BootstrapAggregator estimates as "mid".
/// Throws: Error as corpus_bleu, and as rouge.
std::vector<RougeScore> mean_rouge(const Hypotheses& hypotheses, const References& references,
                                   const RougeOptions& options = {});

}  // namespace hone::eval

template <>
struct hone::EnumNames<hone::eval::RougeType> {
  static constexpr std::pair<eval::RougeType, const char*> values[] = {
      {eval::RougeType::k1, "rouge1"},      {eval::RougeType::k2, "rouge2"},
      {eval::RougeType::k3, "rouge3"},      {eval::RougeType::k4, "rouge4"},
      {eval::RougeType::k5, "rouge5"},      {eval::RougeType::k6, "rouge6"},
      {eval::RougeType::k7, "rouge7"},      {eval::RougeType::k8, "rouge8"},
      {eval::RougeType::k9, "rouge9"},      {eval::RougeType::kL, "rougeL"},
      {eval::RougeType::kLsum, "rougeLsum"}};
};
