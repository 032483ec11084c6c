/// The BPE model of a tokenizer while terms are added to it.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "hone/text/detail/growth_context.h"
#include "hone/text/detail/merge_table.h"
#include "hone/text/growth.h"
#include "hone/text/tokenizer.h"

namespace hone::text::detail {

/// How a term becomes one token.
enum class TermWay {
  kMerges,      ///< a merge for each neighbour, left to right
  kWholePiece,  ///< ignore_merges: an entry of the vocabulary, found where it is a whole piece
  kAddedToken   ///< an entry that is looked for before anything else
};

/// Vocabulary, merges and added tokens: those of the old tokenizer, and new ones.
class GrowingModel {
 public:
  /// New ids begin at the larger of the tokenizer's end and `first_free_id`.
  GrowingModel(const Tokenizer& old, std::optional<int64_t> first_free_id);

  struct Entry {
    TermWay way;
    std::string why;  ///< an added token: why it cannot be merges; "" otherwise
  };
  /// How `mode` lets a term in, were there no more to say against it. Under mode merges an added
  /// token means that it cannot come in.
  Entry entry(std::string_view term, const TermTokens& found, GrowthMode mode) const;

  /// Behind all others; returns its id.
  int64_t add_token(const std::string& token);
  int64_t add_added_token(const std::string& content);

  struct Join {
    int64_t id;
    bool is_new;  ///< whether the token that the merge makes was added for it
  };
  /// Adds the merge of two tokens, and the token that it makes where there is none yet.
  Join join(int64_t left, int64_t right);

  const std::string& name(int64_t id) const { return names_.at(id); }
  bool contains(const std::string& token) const { return vocabulary_.contains(token); }
  int64_t id(const std::string& token) const { return vocabulary_.at(token); }
  bool is_new(int64_t id) const { return id >= first_id_; }
  int64_t first_id() const { return first_id_; }
  int64_t next_id() const { return next_id_; }
  std::optional<int64_t> unknown_id() const { return unknown_id_; }
  const MergeTable& merges() const { return merges_; }
  /// Whether the file writes a merge as "left right".
  bool merges_are_strings() const { return merges_are_strings_; }
  /// Added tokens, old and new, by content.
  const std::map<std::string, int64_t>& contents() const { return contents_; }

 private:
  /// Why the tokens cannot be merged into one; "" if they can.
  std::string obstacle(const TermTokens& found) const;

  std::unordered_map<std::string, int64_t> vocabulary_;
  std::unordered_map<int64_t, std::string> names_;
  std::map<std::string, int64_t> contents_;
  MergeTable merges_;
  bool ignore_merges_ = false, byte_fallback_ = false, merges_are_strings_ = false;
  std::optional<int64_t> unknown_id_;
  int64_t first_id_, next_id_;
};

}  // namespace hone::text::detail
