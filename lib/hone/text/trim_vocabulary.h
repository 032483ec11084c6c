/// Cutting a tokenizer's vocabulary down to the tokens that some text needs.
#pragma once
#include <cstdint>
#include <vector>

#include "hone/core/json.h"
#include "hone/text/tokenizer.h"

namespace hone::text {

struct TrimmedTokenizer {
  Tokenizer tokenizer;
  std::vector<int64_t> kept;  ///< by new id, ascending: the token's id before
};

/// Keeps the tokens `used`, all added tokens, those of the post-processor's templates, the unknown
/// token and those of single bytes, so that any text can still be encoded, and the parts of which
/// merges make what is kept; and the merges between them, in their order. Ids are numbered anew, in
/// their order.
///
/// A text whose old ids are all in `used` is encoded as before, id by id: every merge on the way to
/// them is kept, and none comes before it that did not. Other texts fall into smaller tokens.
/// The result's json() loads in `tokenizers` with the same ids: added tokens are entered into the
/// model's vocabulary, as that package numbers them by counting otherwise.
/// Throws: Error for an id without a token, and for a tokenizer that is neither byte-level nor has
///   byte_fallback, in which a letter that is gone would be lost.
/// Parity: tests/interop/text_trimmed.py.
TrimmedTokenizer trim_vocabulary(const Tokenizer& tokenizer, const std::vector<int64_t>& used);

/// config.json, generation_config.json or tokenizer_config.json with the ids that it names
/// renumbered: keys that end in "token_id" or "token_ids", suppress_tokens and
/// begin_suppress_tokens, at the top, and the keys of added_tokens_decoder. An id that is gone
/// leaves its list, or becomes null.
Json renumber_tokens(Json config, const std::vector<int64_t>& kept);

/// The ids that it names by such keys.
std::vector<int64_t> named_tokens(const Json& config);

}  // namespace hone::text
