/// The `added_tokens` of a tokenizer.json: found in the text before anything else is done to it.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "hone/core/json.h"
#include "hone/text/detail/normalizer.h"

namespace hone::text::detail {

struct AddedToken {
  int64_t id = 0;
  std::string content;
  std::string decoded;  ///< what decoders get: the content, normalised if `normalized`
  bool single_word = false, lstrip = false, rstrip = false, normalized = false, special = false;
};

/// A stretch of a text: an added token (id >= 0) or what lies between (id -1).
struct Stretch {
  int64_t id;
  ByteRange span;
};

/// Finds the longest of a set of strings at a place in a text.
class StringTrie {
 public:
  StringTrie();
  void add(std::string_view text, int32_t value);
  /// Value of the longest string that starts at `at`, or -1; `length` is its length.
  int32_t longest(std::string_view text, size_t at, size_t& length) const;
  bool empty() const { return nodes_ == 1; }

 private:
  std::unordered_map<uint64_t, int32_t> edges_;  ///< node << 8 | byte -> node
  std::vector<int32_t> values_;                  ///< per node, -1 if no string ends there
  std::vector<int32_t> root_;                    ///< 256 edges of the root, -1 if none
  int32_t nodes_ = 1;
};

class AddedTokens {
 public:
  using IdOf = std::function<int64_t(const std::string& content)>;  ///< -1: not in the model

  /// Ids are those of `tokenizers`: the model's own if it has the content, else counted on from its
  /// size. An entry whose "id" says otherwise is an error. Throws: IoError.
  static AddedTokens parse(const Json& json, const std::string& source, const IdOf& model_id,
                           int64_t model_size);

  /// Makes the automata; `normalizer` rewrites the contents of tokens with normalized = true.
  void build(const Normalizer& normalizer, MatchScratch& scratch);

  /// Cuts `text` at the tokens to be found before (false) or after (true) normalisation.
  void split(std::string_view text, bool normalized, std::vector<Stretch>& out) const;
  bool any(bool normalized) const { return !tries_[normalized].empty(); }

  const std::vector<AddedToken>& tokens() const { return tokens_; }  ///< one an id
  const AddedToken* find(int64_t id) const;
  const AddedToken* find(std::string_view content) const;
  bool is_special(std::string_view content) const;

 private:
  std::vector<AddedToken> tokens_;
  std::unordered_map<int64_t, size_t> by_id_;
  std::unordered_map<std::string, size_t> by_content_;
  StringTrie tries_[2];
};

}  // namespace hone::text::detail
