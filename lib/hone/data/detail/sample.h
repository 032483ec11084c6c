/// A row as what it says, whatever format it was written in.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "hone/core/json.h"
#include "hone/data/detail/row_format.h"
#include "hone/data/detail/row_source.h"
#include "hone/data/entities.h"

namespace hone::data::detail {

struct TextSample {
  std::string text;
};

/// The completion is trained, the prompt is not.
struct PairSample {
  std::string prompt, completion;
  std::vector<Span> free;  ///< of the prompt: what was written by the row's author, no form
};

/// A conversation as chat templates take it: {"role", "content", ...}, roles system, user,
/// assistant and tool in an order that a conversation has, the last an assistant's.
struct ChatSample {
  Json messages = Json::array();
  std::vector<float> weights;  ///< one a message; 0 = not trained, as all but assistants'
  Json tools;                  ///< list or null
};

/// Text in stretches that are trained or not.
struct SegmentSample {
  std::vector<std::pair<std::string, bool>> segments;
};

/// Tokens made elsewhere; labels[i] is ids[i] or kIgnoreIndex.
struct TokenSample {
  std::vector<int64_t> ids, labels;
};

using Sample = std::variant<TextSample, PairSample, ChatSample, SegmentSample, TokenSample>;

/// What a row says. With `plain_alpaca` an Alpaca row is Stanford's text form instead of a
/// conversation. Throws: Error with the reason for a bad row.
Sample parse_row(const RawRow& row, bool plain_alpaca);

/// The texts of a sample without any template. Throws: Error for tokens.
std::vector<std::string> sample_texts(const Sample& sample);

// ---- parts of parse_row ------------------------------------------------------------------------

/// A row that is a JSON object. Throws: Error with the reason.
Json parse_object(const RawRow& raw);

/// The value under a key. Throws: Error if it is missing, or (text) no string.
const Json& need(const Json& row, const std::string& key);
const std::string& need_text(const Json& row, const std::string& key);
/// The string under a key; "" if the key is nullopt, missing or null. Throws: Error otherwise.
std::string text_or_empty(const Json& row, const Key& key);

/// A list of OpenAI messages.
ChatSample read_messages(const Json& messages, const Json& tools);
/// Messages whose keys and roles have other names, ShareGPT's among them; `system` goes in front
/// unless they begin with a system message.
ChatSample read_tagged_messages(const Json& messages, const RoleTags& tags,
                                const std::string& system, const Json& tools);
/// {"prompt", "completion"} as lists of messages: the prompt's are not trained.
ChatSample read_message_pair(const Json& prompt, const Json& completion, const Json& tools);
/// A row's tools: a list, a string that holds one as JSON, or nothing. Bare functions are wrapped
/// as {"type": "function", "function"}.
Json read_tools(const Json& row, const Key& key);

}  // namespace hone::data::detail
