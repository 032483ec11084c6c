/// Vocabulary growth: domain terms that fragment become tokens of their own.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/text/tokenizer.h"

namespace hone::text {

/// How a term enters the tokenizer.
enum class GrowthMode { kAuto, kMerges, kAddedTokens };

}  // namespace hone::text

template <>
struct hone::EnumNames<hone::text::GrowthMode> {
  static constexpr std::pair<hone::text::GrowthMode, const char*> values[] = {
      {hone::text::GrowthMode::kAuto, "auto"},
      {hone::text::GrowthMode::kMerges, "merges"},
      {hone::text::GrowthMode::kAddedTokens, "added_tokens"}};
};

namespace hone::text {

struct MineOptions {
  int64_t max_terms = 1000;
  int64_t min_pieces = 3;
  int64_t min_count = 5;
  bool words_only = true;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("max_terms", self.max_terms, "Terms returned at most.", Range{1, 1'000'000});
    v("min_pieces", self.min_pieces, "Terms must fragment into so many tokens.", Range{2, 1000});
    v("min_count", self.min_count, "Terms must occur so often.", Range{1, 1e15});
    v("words_only", self.words_only,
      "Only letters and marks, with at most one leading space: no numbers, punctuation, layout.");
  }
};

/// A piece of text that costs more tokens than it should.
struct TermCandidate {
  std::string text;    ///< one pre-token piece, leading space included
  int64_t count = 0;   ///< occurrences in the texts
  int64_t pieces = 0;  ///< tokens it takes now
  int64_t saved = 0;   ///< count * (pieces - 1): tokens saved if it were one
};

/// Terms of domain texts worth a token of their own: by `saved`, highest first, then by bytes.
std::vector<TermCandidate> mine_terms(const Tokenizer& tokenizer,
                                      const std::vector<std::string>& texts,
                                      const MineOptions& options = {});

struct GrowOptions {
  GrowthMode mode = GrowthMode::kAuto;
  std::optional<int64_t> first_free_id;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("mode", self.mode,
      "auto: merges for terms of one pre-token piece, added tokens for the others.");
    v("first_free_id", self.first_free_id,
      "Lowest id for new tokens. Absent: vocab_size(), which takes up the rows by which a padded "
      "embedding exceeds the tokenizer; the model's rows: leaves those rows alone.",
      Range{0, 1e9});
  }
};

/// One new id.
struct GrownToken {
  enum class Kind { kTerm, kIntermediate, kAddedToken };
  std::string token;  ///< as the file spells it
  std::string text;   ///< what it decodes to (U+FFFD for parts of characters)
  int64_t id = 0;
  Kind kind = Kind::kTerm;
  std::vector<int64_t> pieces;  ///< ids of the OLD tokenizer it is made of, for mean initialisation
};

struct GrowthResult {
  Tokenizer tokenizer;
  std::vector<GrownToken> added;       ///< ascending id, no gaps among them
  std::vector<std::string> unchanged;  ///< terms that were one token already
};

/// The tokenizer with each term as one token.
///
/// A term of one pre-token piece gets merges appended behind all others, left to right: pieces
/// p1 p2 p3 become (p1,p2) and (p12,p3), where p12 is a new intermediate token. Old merges keep
/// precedence, so an old text changes only where p1 p2 stood side by side unmerged within one
/// piece. With ignore_merges (Llama-3) the vocabulary entry alone suffices and only the whole piece
/// changes. Other terms become added tokens (normalized = false), found anywhere in a text.
/// The result's json() loads in `tokenizers` with the same ids: existing added tokens are entered
/// into the model's vocabulary too, as that package numbers them by counting otherwise.
/// Throws: Error naming the term that cannot be added: empty, not UTF-8, or several pieces or
/// changed by the normalizer under mode merges.
GrowthResult grow(const Tokenizer& tokenizer, const std::vector<std::string>& terms,
                  const GrowOptions& options = {});

}  // namespace hone::text
