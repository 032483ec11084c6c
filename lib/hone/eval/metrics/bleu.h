/// BLEU (Papineni et al., 2002), equal to sacrebleu 2.6.0.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/eval/metrics/references.h"

namespace hone::eval {

/// sacrebleu's tokenizers, under its names. Those from kJaMecab on need a model or dictionary that
/// hone does not read: choosing one is an error that says so.
enum class BleuTokenizer {
  k13a,   ///< mteval-v13a, WMT's
  kIntl,  ///< mteval-v14: every Unicode punctuation and symbol by itself
  kChar,
  kZh,    ///< Chinese characters by themselves, 13a's rules for the rest
  kNone,  ///< white space only
  kJaMecab,
  kKoMecab,
  kSpm,
  kFlores101,
  kFlores200,
  kSpBleu1k,
};

/// What happens to an n-gram order without a match (Chen and Cherry, 2014).
enum class BleuSmoothing {
  kNone,   ///< its precision is 0, and so is the score
  kFloor,  ///< `smooth_value` matches are counted
  kAddK,   ///< `smooth_value` is added to matches and totals of every order over 1
  kExp,    ///< 1/2, 1/4, ... matches are counted for the first such order, the second, ...
};

struct BleuOptions {
  BleuTokenizer tokenize = BleuTokenizer::k13a;
  BleuSmoothing smooth_method = BleuSmoothing::kExp;
  std::optional<double> smooth_value;
  int64_t max_ngram_order = 4;
  bool effective_order = false;
  bool lowercase = false;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("tokenize", self.tokenize, "How texts fall into tokens; sacrebleu's names.");
    v("smooth_method", self.smooth_method, "What becomes of n-gram orders without a match.");
    v("smooth_value", self.smooth_value,
      "Of smooth_method floor (0.1 when absent) and add-k (1 when absent).", Range{0, 1e6});
    v("max_ngram_order", self.max_ngram_order, "Longest n-grams compared.", Range{1, 100});
    v("effective_order", self.effective_order,
      "Leave orders out for which the hypotheses are too short; meant for single sentences.");
    v("lowercase", self.lowercase, "Compare without regard to case.");
  }

  void validate(Validation& v) const;
};

struct BleuScore {
  double score = 0;                    ///< 0 to 100
  std::vector<double> precisions;      ///< per cent, for n = 1, 2, ...
  std::vector<double> counts, totals;  ///< matches and n-grams; add-k's k is in them
  double bp = 1;                       ///< brevity penalty
  int64_t sys_len = 0, ref_len = 0;    ///< tokens; of the reference nearest in length, summed
  std::string signature;               ///< sacrebleu's, "nrefs:1|case:mixed|...|version:2.6.0"
};

/// BLEU of all segments together. Linear in the texts' length.
/// Throws: Error for no hypotheses, lists of different lengths, a segment without reference, or
///   options that validate() refuses.
BleuScore corpus_bleu(const Hypotheses& hypotheses, const References& references,
                      const BleuOptions& options = {});

/// BLEU of one segment; sacrebleu recommends effective_order for it. Throws: as corpus_bleu.
BleuScore sentence_bleu(const std::string& hypothesis, const std::vector<std::string>& references,
                        const BleuOptions& options = {});

}  // namespace hone::eval

template <>
struct hone::EnumNames<hone::eval::BleuTokenizer> {
  static constexpr std::pair<eval::BleuTokenizer, const char*> values[] = {
      {eval::BleuTokenizer::k13a, "13a"},
      {eval::BleuTokenizer::kIntl, "intl"},
      {eval::BleuTokenizer::kChar, "char"},
      {eval::BleuTokenizer::kZh, "zh"},
      {eval::BleuTokenizer::kNone, "none"},
      {eval::BleuTokenizer::kJaMecab, "ja-mecab"},
      {eval::BleuTokenizer::kKoMecab, "ko-mecab"},
      {eval::BleuTokenizer::kSpm, "spm"},
      {eval::BleuTokenizer::kFlores101, "flores101"},
      {eval::BleuTokenizer::kFlores200, "flores200"},
      {eval::BleuTokenizer::kSpBleu1k, "spBLEU-1K"}};
};
template <>
struct hone::EnumNames<hone::eval::BleuSmoothing> {
  static constexpr std::pair<eval::BleuSmoothing, const char*> values[] = {
      {eval::BleuSmoothing::kNone, "none"},
      {eval::BleuSmoothing::kFloor, "floor"},
      {eval::BleuSmoothing::kAddK, "add-k"},
      {eval::BleuSmoothing::kExp, "exp"}};
};
