/// Other versions of the training documents, drawn anew each time a document is.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/field.h"
#include "hone/data/batch.h"
#include "hone/data/dataset.h"
#include "hone/data/mixture.h"
#include "hone/text/tokenizer_folder.h"

namespace hone::data {

/// Words replaced by WordNet's synonyms.
struct SynonymOptions {
  double rate = 0.0;
  std::string wordnet = "/usr/share/wordnet";
  int64_t senses = 1;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("rate", self.rate, "Probability that a word with a synonym is replaced; 0 is off.",
      Range{0, 1});
    v("wordnet", self.wordnet, "Folder of WordNet's index.noun, data.noun and their kin.");
    v("senses", self.senses, "Synonyms come from so many of a word's most frequent senses.",
      Range{1, 100});
  }
  void validate(Validation& v) const;
};

/// Single words hidden from the input.
struct WordDropoutOptions {
  double rate = 0.0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("rate", self.rate, "Probability that a word's tokens are masked; 0 is off.", Range{0, 0.5});
  }
};

/// Spans of words hidden from the input.
struct SpanMaskingOptions {
  double rate = 0.0;
  double mean_words = 3.0;
  int64_t max_words = 10;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("rate", self.rate, "Share of the words that are masked in spans; 0 is off.", Range{0, 0.5});
    v("mean_words", self.mean_words, "Mean of the spans' geometric lengths.", Range{1, 100});
    v("max_words", self.max_words, "Longest span.", Range{1, 1000});
  }
  void validate(Validation& v) const;
};

/// Texts replaced by what a command of the user's makes of them.
struct BackTranslationOptions {
  double rate = 0.0;
  std::vector<std::string> command;
  std::string cache;
  double timeout_seconds = 600.0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("rate", self.rate, "Probability that a text is replaced by its paraphrase; 0 is off.",
      Range{0, 1});
    v("command", self.command, "Program and arguments, run without a shell.");
    v("cache", self.cache, "File that keeps the answers, for this run and others.");
    v("timeout_seconds", self.timeout_seconds, "Longest wait for the next answer.",
      Range{0.1, 1e6});
  }
  void validate(Validation& v) const;
};

/// docs/augmentation.md says which text each kind may change.
struct AugmentationOptions {
  double rate = 1.0;
  SynonymOptions synonyms;
  WordDropoutOptions word_dropout;
  SpanMaskingOptions span_masking;
  BackTranslationOptions back_translation;
  std::optional<std::string> mask_token;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("rate", self.rate,
      "Probability that a drawn document is changed at all, by every kind below whose own rate is "
      "above 0.",
      Range{0, 1});
    v("synonyms", self.synonyms, "Words replaced by WordNet's synonyms.");
    v("word_dropout", self.word_dropout, "Single words hidden from the input.");
    v("span_masking", self.span_masking, "Spans of words hidden from the input.");
    v("back_translation", self.back_translation, "Texts replaced by a command's paraphrases.");
    v("mask_token", self.mask_token,
      "Token that stands for each hidden one; the tokenizer's pad token when absent, its eos "
      "where there is no pad token.");
  }
  void validate(Validation& v) const;

  /// Whether a kind has a rate above 0: load_dataset must then keep the text (keep_text).
  bool any() const;
};

/// Makes variants of documents; const and without memory, so that what a document becomes depends
/// on seed, set, document, epoch and rate alone.
///
///   auto sets = ...;                                     // load_dataset with keep_text
///   auto augmenter = std::make_shared<Augmenter>(options.augmentation, folder, sets, seed);
///   Loader loader(sets, {.tokens_per_batch = 2048}, augmenter);
///   loader.set_augmentation_rate(0.5);
class Augmenter {
 public:
  /// Reads WordNet and runs the back-translation command where they are asked for. `text` is the
  /// folder that the sets were tokenised with.
  /// Throws: IoError, Error naming what is missing: WordNet, a mask token, the command; if no
  ///   example has kept its text, or one was tokenised otherwise.
  Augmenter(const AugmentationOptions& options, const text::TokenizerFolder& text,
            const std::vector<DatasetPtr>& sets, uint64_t seed);
  ~Augmenter();
  Augmenter(const Augmenter&) = delete;
  Augmenter& operator=(const Augmenter&) = delete;

  /// Another version of `example`, document draw.document of set draw.set in pass draw.epoch, of at
  /// most `longest` tokens, or nullopt where it stays as it is. `rate` stands for
  /// AugmentationOptions::rate. May be called from several threads.
  std::optional<Example> variant(const Example& example, const Draw& draw, double rate,
                                 int64_t longest) const;

  /// AugmentationOptions::rate, which a Loader begins with.
  double rate() const;
  /// Hash of all that variants depend on but the rate: other kinds, seed, WordNet or paraphrases
  /// give another one.
  const std::string& fingerprint() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hone::data
