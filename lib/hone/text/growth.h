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

/// Fewest tokens of a mined term unless said otherwise: of a word between spaces, and of a term
/// inside text without spaces, whose words are a few characters long.
inline constexpr int64_t kMinWordPieces = 3;
inline constexpr int64_t kMinRunPieces = 2;

struct MineOptions {
  int64_t max_terms = 1000;
  std::optional<int64_t> max_ids;
  std::optional<int64_t> min_pieces;
  int64_t min_count = 5;
  bool words_only = true;
  GrowthMode mode = GrowthMode::kAuto;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("max_terms", self.max_terms, "Terms returned at most.", Range{1, 1'000'000});
    v("max_ids", self.max_ids,
      "New ids that the terms need at most, intermediate ones included. Absent: no limit.",
      Range{0, 1e9});
    v("min_pieces", self.min_pieces,
      "Terms must fragment into so many tokens. Absent: 3, and 2 inside text without spaces.",
      Range{2, 1000});
    v("min_count", self.min_count, "Terms must occur so often.", Range{1, 1e15});
    v("words_only", self.words_only,
      "Only letters and marks, with at most one leading space: no numbers, punctuation, layout.");
    v("mode", self.mode, "How the terms will enter, which says how many ids each needs.");
  }
};

/// A piece of text that costs more tokens than it should.
struct TermCandidate {
  std::string text;    ///< leading space included
  int64_t count = 0;   ///< occurrences in the texts
  int64_t pieces = 0;  ///< tokens it takes now
  int64_t ids = 0;  ///< new ids it needs after the terms before it, its intermediate ones included
  int64_t saved = 0;  ///< tokens that the texts lose by those ids, after the terms before it
};

/// Terms of domain texts worth tokens of their own: at each place the one that saves most tokens
/// for each id it then needs. The texts are merged as the terms come in, so that the sum of `saved`
/// is what grow() with these terms saves in them (added tokens: about so; they also part what
/// stands around them).
///
/// Candidates are the pieces the pre-tokenizer makes, counted over all texts; where it makes one
/// piece of a text (Llama-2), the words in it. A term after a space and the same one without are
/// two candidates, as they are two pieces. In scripts without spaces (Han, kana, Thai, ...), whose
/// pieces are clauses, candidates are the parts of pieces that behave as words: they hold together
/// (mutual information) and stand free (branching entropy); never with a space before them. Longer
/// ones than 127 bytes are left out, in those scripts than 12 characters. A term that other terms
/// already made one token needs 0 ids.
/// Cost: one pre-tokenisation of the texts, one encoding of each distinct piece; in scripts without
/// spaces a pass over the tokens for each length of term. Memory: some 10 bytes a token of distinct
/// pieces.
/// Throws: Error if min_pieces is under 2.
std::vector<TermCandidate> mine_terms(const Tokenizer& tokenizer,
                                      const std::vector<std::string>& texts,
                                      const MineOptions& options = {});

/// The terms, each followed by itself after a space where that is one pre-token piece: what a list
/// of plain words needs, as most words of a text stand after a space and are other tokens there.
/// Not where a term holds letters of scripts without spaces.
std::vector<std::string> with_spaced_forms(const Tokenizer& tokenizer,
                                           const std::vector<std::string>& terms);

struct GrowOptions {
  GrowthMode mode = GrowthMode::kAuto;
  std::optional<int64_t> first_free_id;
  std::optional<int64_t> max_new_tokens;
  std::optional<int64_t> max_terms;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("mode", self.mode,
      "auto: merges for terms of one pre-token piece, added tokens for the others.");
    v("first_free_id", self.first_free_id,
      "Lowest id for new tokens. Absent: vocab_size(), which takes up the rows by which a padded "
      "embedding exceeds the tokenizer; the model's rows: leaves those rows alone.",
      Range{0, 1e9});
    v("max_new_tokens", self.max_new_tokens,
      "Most new ids, intermediate ones included; a term that may need more than are left is left "
      "out. Absent: no limit.",
      Range{0, 1e9});
    v("max_terms", self.max_terms,
      "Most terms that become tokens; those that are one already do not count. Absent: no limit.",
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
  std::vector<std::string> left_out;   ///< terms for which the limits left no room

  /// New ids that are terms; the others are intermediate.
  int64_t terms() const;
};

/// The tokenizer with each term as one token.
///
/// A term of one pre-token piece gets merges appended behind all others, left to right: tokens
/// p1 p2 p3 become (p1,p2) and (p12,p3), where p12 is a new intermediate token unless the
/// vocabulary has it. Old merges keep precedence, so the new encoding of any text is the old one
/// with runs of old tokens joined: an old text changes only where p1 p2 stood side by side within
/// one piece. With ignore_merges (Llama-3) the vocabulary entry alone suffices and only the whole
/// piece changes; terms with letters of scripts without spaces get merges all the same, as their
/// pieces are clauses. Other terms become added tokens (normalized = false, special = false), found
/// anywhere in a text: terms of several pieces, and those spelled with byte-fallback or unknown
/// tokens. Terms are taken in order, literally ("x" and " x" are different terms), repeated ones
/// once. The result's json() loads in `tokenizers` with the same ids: existing added tokens are
/// entered into the model's vocabulary too, as that package numbers them by counting otherwise.
/// Throws: Error naming every term that cannot be added and why: empty, not UTF-8, over 4096 bytes,
/// spelled like another token, one that would decode to something else, or no merges possible
/// under mode merges.
/// Parity: tests/interop/text_growth.py.
GrowthResult grow(const Tokenizer& tokenizer, const std::vector<std::string>& terms,
                  const GrowOptions& options = {});

/// What grow() did to make `grown` of `old`, for a grown tokenizer that was saved. `unchanged` and
/// `left_out` are empty; a term that only begins the next one counts as intermediate.
GrowthResult growth_between(const Tokenizer& old, const Tokenizer& grown);

}  // namespace hone::text
