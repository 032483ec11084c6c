/// A term as a tokenizer sees it inside a text.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hone/text/tokenizer.h"

namespace hone::text::detail {

struct TermTokens {
  std::vector<int64_t> ids;
  bool one_piece = false;    ///< all of it stands in one pre-token piece
  bool whole_piece = false;  ///< and that piece holds nothing else
};

/// Looks at terms behind a line feed: no family joins one with what follows, and tokenizers that
/// put a space before a text do not put it before the term then.
class TermContext {
 public:
  explicit TermContext(const Tokenizer& tokenizer)
      : tokenizer_(tokenizer), before_(tokenizer.encode_ids("\n", false)) {}

  /// The tokens of `term`. If it cannot be told from the line feed, they are those of the term as a
  /// text of its own, and one_piece is false.
  TermTokens look(std::string_view term) const;
  /// The same tokens with the bytes of `term` that each covers.
  Encoding encode(std::string_view term) const;
  /// What one token decodes to inside a text.
  std::string decode(int64_t id) const;
  /// Whether a text starts as if a space stood before it (Llama-2).
  bool prepends_space() const { return tokenizer_.encode_ids("a", false) != look("a").ids; }
  /// Whether pieces end at words; else a text is one piece (Llama-2).
  bool splits_words() const { return tokenizer_.pieces("a b").size() > 1; }

 private:
  /// Whether `ids`, of a text behind a line feed, begin with the line feed's and go on.
  bool stands_apart(const std::vector<int64_t>& ids) const;

  const Tokenizer& tokenizer_;
  std::vector<int64_t> before_;  ///< ids of the line feed
};

}  // namespace hone::text::detail
