// Which of a rendered conversation the assistant says, and the training form of what it thinks.
#include <algorithm>
#include <string_view>

#include "hone/core/error.h"
#include "hone/text/chat_template.h"
#include "hone/unicode/python_text.h"

namespace hone::text {
namespace {

namespace py = unicode::py;

constexpr std::string_view kOpen = "<think>", kClose = "</think>";
constexpr const char* kReasoningKeys[] = {"reasoning_content", "reasoning", "thinking"};
// Texts that no template writes of its own.
constexpr const char* kQuestion = "hone-probe-question";
constexpr const char* kAnswer = "hone-probe-answer";
constexpr const char* kThought = "hone-probe-thought";

bool is_assistant(const Json& message) {
  return message.is_object() && message.value("role", Json()) == "assistant";
}

std::string name_of(const ChatTemplate& chat, size_t message) {
  return chat.source_name() + ": message " + std::to_string(message) + " (assistant)";
}

/// The text of the first `count` messages.
std::string render_first(const ChatTemplate& chat, const ChatInput& input, size_t count,
                         bool add_generation_prompt) {
  ChatInput part = input;
  part.add_generation_prompt = add_generation_prompt;
  part.messages = Json::array();
  for (size_t i = 0; i < count; ++i) part.messages.push_back(input.messages[i]);
  return chat.render(part);
}

std::string render_probe(const ChatTemplate& chat, const ChatInput& input,
                         const std::string& answer) {
  ChatInput probe = input;
  probe.add_generation_prompt = false;
  probe.messages = Json::array(
      {{{"role", "user"}, {"content", kQuestion}}, {{"role", "assistant"}, {"content", answer}}});
  return chat.render(probe);
}

/// What the template writes after the content of an assistant turn.
std::string turn_suffix(const ChatTemplate& chat, const ChatInput& input) {
  const std::string text = render_probe(chat, input, kAnswer);
  const size_t at = text.rfind(kAnswer);
  if (at == std::string::npos) {
    throw Error(chat.source_name() + ": the template leaves out what the assistant says");
  }
  return text.substr(at + std::string_view(kAnswer).size());
}

/// `text`, which ends with a turn, without the white space after the end-of-turn token.
std::string_view cut_turn(std::string_view text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return text;
  return text.substr(0, text.size() - suffix.size() + py::strip(suffix, py::kRight).size());
}

/// How a generation prompt starts a thought.
struct Opening {
  std::string_view base;   ///< the prompt without the tag that opens a thought
  bool opens = false;      ///< it ends in <think>
  bool closes = false;     ///< it ends in </think>: thinking is switched off
  bool new_lines = false;  ///< there is a line break after <think>
};

Opening opening_of(std::string_view prompt) {
  const std::string_view text = py::strip(prompt, py::kRight);
  Opening opening{prompt};
  opening.closes = text.ends_with(kClose);
  opening.opens = text.ends_with(kOpen);
  if (opening.opens) {
    opening.base = text.substr(0, text.size() - kOpen.size());
    opening.new_lines = text.size() < prompt.size();
  }
  return opening;
}

/// A turn without the empty thought that some templates write in front of the content.
std::string_view without_empty_thought(std::string_view turn) {
  std::string_view rest = turn;
  if (rest.starts_with(kOpen)) rest = py::strip(rest.substr(kOpen.size()), py::kLeft);
  if (!rest.starts_with(kClose)) return turn;
  return py::strip(rest.substr(kClose.size()), py::kLeft, "\n");
}

std::vector<size_t> chosen_turns(const ChatInput& input, ChatTurns turns) {
  std::vector<size_t> chosen;
  for (size_t i = 0; i < input.messages.size(); ++i) {
    if (is_assistant(input.messages[i])) chosen.push_back(i);
  }
  if (turns == ChatTurns::kLast && chosen.size() > 1) chosen = {chosen.back()};
  return chosen;
}

RenderedChat render_marked(const ChatTemplate& chat, const ChatInput& whole, ChatTurns turns) {
  RenderedChat result = chat.render_generation(whole);
  if (turns == ChatTurns::kAll || result.spans.empty()) return result;
  const ChatSpan last = result.spans.back();
  if (last.message < 0) {
    throw Error(chat.source_name() +
                ": there are not as many {% generation %} blocks rendered as " +
                "assistant messages, so the last turn's cannot be told from the others'");
  }
  result.spans = {last};
  return result;
}

std::string plain_content(const Json& message) {
  const Json content = message.value("content", Json());
  if (content.is_string()) return content.get<std::string>();
  std::string text;
  for (const Json& part : content) {
    if (part.is_object() && part.value("text", Json()).is_string()) {
      text += part["text"].get<std::string>();
    }
  }
  return text;
}

}  // namespace

RenderedChat render_turns(const ChatTemplate& chat, const ChatInput& input, ChatTurns turns) {
  ChatInput whole = input;
  whole.add_generation_prompt = false;
  if (chat.has_generation_blocks()) return render_marked(chat, whole, turns);
  RenderedChat result;
  result.text = chat.render(whole);
  const std::vector<size_t> chosen = chosen_turns(whole, turns);
  if (chosen.empty()) return result;
  const std::string suffix = turn_suffix(chat, whole);
  for (const size_t i : chosen) {
    const std::string prompt = render_first(chat, whole, i, true);
    const std::string with_turn = render_first(chat, whole, i + 1, false);
    // What opens a thought is the model's to answer: a turn may be rendered without it.
    const Opening opening = opening_of(prompt);
    const std::string_view start =
        with_turn.starts_with(prompt) ? std::string_view(prompt) : opening.base;
    if (!with_turn.starts_with(start)) {
      throw Error(name_of(chat, i) +
                  ": its turn does not start with the generation prompt; the template cannot be "
                  "used for training on it");
    }
    const std::string_view end = cut_turn(with_turn, suffix);
    if (!std::string_view(result.text).starts_with(end)) {
      throw Error(name_of(chat, i) +
                  ": the template renders it otherwise once later turns follow, so what is trained "
                  "would differ from what is served; train on the last turn of the conversation "
                  "cut after it");
    }
    if (end.size() > start.size()) {
      result.spans.push_back({static_cast<int64_t>(start.size()), static_cast<int64_t>(end.size()),
                              static_cast<int64_t>(i)});
    }
  }
  return result;
}

bool discards_reasoning(const ChatTemplate& chat, const Json& variables) {
  ChatInput input;
  input.variables = variables;
  const std::string answer =
      std::string(kOpen) + "\n" + kThought + "\n" + std::string(kClose) + "\n\n" + kAnswer;
  return render_probe(chat, input, answer).find(kThought) == std::string::npos;
}

Reasoning split_reasoning(const Json& message) {
  const std::string content = plain_content(message);
  const auto trimmed = [](std::string_view text, int sides) {
    return std::string(py::strip(text, sides, "\n"));
  };
  for (const char* key : kReasoningKeys) {
    const Json value = message.value(key, Json());
    if (value.is_string()) {
      return {trimmed(value.get_ref<const std::string&>(), py::kBoth), trimmed(content, py::kLeft)};
    }
  }
  const size_t close = content.rfind(kClose);
  if (close == std::string::npos) return {"", content};
  std::string_view thought = std::string_view(content).substr(0, close);
  if (const std::string_view text = py::strip(thought, py::kLeft); text.starts_with(kOpen)) {
    thought = text.substr(kOpen.size());
  }
  return {trimmed(thought, py::kBoth), trimmed(content.substr(close + kClose.size()), py::kLeft)};
}

std::vector<ChatSegment> training_form(const ChatTemplate& chat, const ChatInput& input,
                                       size_t message) {
  if (message >= input.messages.size() || !is_assistant(input.messages[message])) {
    throw Error(chat.source_name() + ": message " + std::to_string(message) +
                " is not an assistant message");
  }
  const Reasoning reasoning = split_reasoning(input.messages[message]);
  ChatInput plain = input;
  Json& turn = plain.messages[message];
  for (const char* key : kReasoningKeys) turn.erase(key);
  // Content that is left out or in parts stays as it is unless a thought is taken out of it.
  if (reasoning.answer != plain_content(turn)) turn["content"] = reasoning.answer;
  std::string prompt = render_first(chat, plain, message, true);
  const Opening opening = opening_of(prompt);
  if (opening.closes && !reasoning.thought.empty()) {
    throw Error(
        name_of(chat, message) +
        ": it has a thought, but the generation prompt ends in </think>; set the template's "
        "variable that switches thinking on, or drop the thought");
  }
  const std::string with_turn = render_first(chat, plain, message + 1, false);
  if (!with_turn.starts_with(opening.base)) {
    throw Error(name_of(chat, message) + ": its turn does not start with the generation prompt");
  }
  const std::string_view end = cut_turn(with_turn, turn_suffix(chat, plain));
  // A turn of white space alone may be cut into the prompt.
  const std::string_view body =
      without_empty_thought(end.substr(std::min(end.size(), opening.base.size())));
  const std::string close = opening.opens && !opening.new_lines
                                ? std::string(kClose)
                                : "\n" + std::string(kClose) + "\n\n";
  std::string trained;
  if (reasoning.thought.empty()) {
    if (opening.opens) prompt += close;
  } else {
    if (!opening.opens) trained = std::string(kOpen) + "\n";
    trained += reasoning.thought + close;
  }
  trained += body;
  return {{std::move(prompt), false}, {std::move(trained), true}};
}

}  // namespace hone::text
