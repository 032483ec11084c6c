#include "hone/infer/speaker.h"

#include <algorithm>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/core/utf8.h"

namespace hone::infer {

Speaker::Speaker(text::TokenizerFolder text, std::vector<int64_t> stop_ids)
    : text_(std::move(text)), stop_ids_(std::move(stop_ids)) {
  if (text_.chat_template) chat_.emplace(*text_.chat_template, text_.chat_template_source);
  const auto add = [this](const std::optional<int64_t>& id) {
    if (id && std::find(stop_ids_.begin(), stop_ids_.end(), *id) == stop_ids_.end()) {
      stop_ids_.push_back(*id);
    }
  };
  add(text_.eos_id);
  if (chat_) add(end_of_turn());
}

std::optional<int64_t> Speaker::end_of_turn() const {
  text::ChatInput input;
  input.messages = one_turn("a", std::nullopt);
  input.messages.push_back({{"role", "assistant"}, {"content", "b"}});
  input.variables = text_.chat_variables();
  std::vector<int64_t> ids;
  try {
    const text::RenderedChat turn = text::render_turns(*chat_, input, text::ChatTurns::kLast);
    if (turn.spans.empty()) return std::nullopt;
    const text::ChatSpan span = turn.spans.back();
    ids = text_.tokenizer.encode_ids(turn.text.substr(static_cast<size_t>(span.begin),
                                                      static_cast<size_t>(span.end - span.begin)),
                                     false);
  } catch (const Error&) {
    return std::nullopt;  // a template for other conversations than this one
  }
  const std::vector<int64_t> added = text_.tokenizer.added_ids();
  if (ids.empty() || !std::binary_search(added.begin(), added.end(), ids.back())) {
    return std::nullopt;
  }
  return ids.back();
}

std::vector<int64_t> Speaker::completion_ids(const std::string& text) const {
  if (!is_utf8(text)) throw Error("the prompt is not UTF-8");
  std::vector<int64_t> ids = text_.tokenizer.encode_ids(text, false);
  if (text_.add_bos) ids.insert(ids.begin(), *text_.bos_id);
  return ids;
}

std::vector<int64_t> Speaker::ids(const Json& messages) const {
  if (chat_) {
    text::ChatInput input;
    input.messages = messages;
    input.add_generation_prompt = true;
    input.variables = text_.chat_variables();
    return text_.tokenizer.encode_ids(chat_->render(input), false);
  }
  if (!messages.is_array() || messages.empty()) throw Error("there is no message to answer");
  if (messages.front().value("role", Json()) == "system") {
    throw Error("a system message needs a chat template, which the tokenizer's folder has not");
  }
  const Json content = messages.back().value("content", Json());
  if (!content.is_string()) throw Error("\"content\" must be a string");
  return completion_ids(content.get_ref<const std::string&>());
}

Json one_turn(const std::string& prompt, const std::optional<std::string>& system) {
  Json messages = Json::array();
  if (system) messages.push_back({{"role", "system"}, {"content", *system}});
  messages.push_back({{"role", "user"}, {"content", prompt}});
  return messages;
}

}  // namespace hone::infer
