#include "hone/text/chat_template.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/error.h"
#include "hone/text/detail/jinja/interpreter.h"
#include "hone/text/detail/jinja/json.h"

namespace hone::text {
namespace {

using jinja::Fault;
using jinja::Interpreter;
using jinja::to_value;
using jinja::Value;

// Nesting of a template's source; each level of it takes some of the parser's stack.
constexpr size_t kMaxSourceDepth = 100;

/// A message as transformers hands it on: without the keys that are null, and with its reasoning
/// under all the names that templates know.
Json normalized(const Json& original) {
  Json message = Json::object();
  for (const auto& [key, value] : original.items()) {
    if (!value.is_null()) message[key] = value;
  }
  static constexpr const char* kNames[] = {"reasoning_content", "thinking", "reasoning"};
  const auto found = std::find_if(std::begin(kNames), std::end(kNames),
                                  [&](const char* name) { return message.contains(name); });
  if (found == std::end(kNames)) return message;
  const Json reasoning = message[*found];
  Json renamed = Json::object();
  renamed["thinking"] = reasoning;
  for (const auto& [key, value] : message.items()) renamed[key] = value;
  renamed["reasoning_content"] = reasoning;
  return renamed;
}

Json checked_messages(const Json& messages) {
  if (!messages.is_array()) throw Fault("messages must be a list");
  if (messages.empty()) throw Fault("the conversation is empty");
  Json checked = Json::array();
  for (const Json& message : messages) {
    if (!message.is_object()) {
      throw Fault("message " + std::to_string(checked.size()) + " must be an object");
    }
    checked.push_back(normalized(message));
  }
  return checked;
}

void check_list(const Json& list, const char* name) {
  const auto is_object = [](const Json& item) { return item.is_object(); };
  if (list.is_null()) return;
  if (!list.is_array() || !std::all_of(list.begin(), list.end(), is_object)) {
    throw Fault(std::string(name) + " must be null or a list of objects");
  }
}

Interpreter::Variables variables_of(const ChatInput& input) {
  check_list(input.tools, "tools");
  check_list(input.documents, "documents");
  if (!input.variables.is_object()) throw Fault("variables must be an object");
  Interpreter::Variables variables;
  variables["messages"] = to_value(checked_messages(input.messages));
  variables["tools"] = to_value(input.tools);
  variables["documents"] = to_value(input.documents);
  variables["add_generation_prompt"] = Value::boolean(input.add_generation_prompt);
  for (const auto& [name, value] : input.variables.items()) {
    variables[name] = to_value(value);
  }
  return variables;
}

}  // namespace

struct ChatTemplate::State {
  std::string source, name;
  ChatLimits limits;
  jinja::Template parsed;

  [[noreturn]] void fail(int line, const std::string& reason) const {
    throw Error(name + ": line " + std::to_string(line) + ": " + reason);
  }

  RenderedChat render(const ChatInput& input) const {
    RenderedChat chat;
    Interpreter::Variables variables;
    try {
      variables = variables_of(input);
    } catch (const Fault& fault) {
      throw Error(name + ": " + fault.what());
    }
    Interpreter interpreter(parsed, limits, std::move(variables));
    interpreter.runtime().now = input.now;
    try {
      chat.text = interpreter.run();
    } catch (const Fault& fault) {
      fail(interpreter.line(), fault.what());
    }
    for (const auto& [begin, end] : interpreter.generated()) {
      chat.spans.push_back({static_cast<int64_t>(begin), static_cast<int64_t>(end), -1});
    }
    return chat;
  }
};

ChatTemplate::ChatTemplate(std::string source, std::string source_name, const ChatLimits& limits) {
  auto state = std::make_shared<State>();
  state->source = std::move(source);
  state->name = std::move(source_name);
  state->limits = limits;
  if (state->source.size() > limits.max_source) {
    state->fail(1, "the template has more than " + std::to_string(limits.max_source) + " bytes");
  }
  try {
    state->parsed = jinja::parse(state->source, std::min(kMaxSourceDepth, limits.max_depth));
  } catch (const jinja::SyntaxFault& fault) {
    state->fail(fault.line, fault.what());
  }
  state_ = std::move(state);
}

std::string ChatTemplate::render(const ChatInput& input) const {
  return state_->render(input).text;
}

RenderedChat ChatTemplate::render_generation(const ChatInput& input) const {
  RenderedChat chat = state_->render(input);
  std::vector<int64_t> assistants;
  for (size_t i = 0; i < input.messages.size(); ++i) {
    if (input.messages[i].value("role", Json()) == "assistant") {
      assistants.push_back(static_cast<int64_t>(i));
    }
  }
  for (size_t i = 0; i < chat.spans.size(); ++i) {
    if (chat.spans[i].begin < 0) {
      throw Error(source_name() +
                  ": a {% generation %} block stands inside a macro, set, call or " +
                  "filter block, where the place of its text is not known");
    }
    if (assistants.size() == chat.spans.size()) chat.spans[i].message = assistants[i];
  }
  return chat;
}

bool ChatTemplate::has_generation_blocks() const { return state_->parsed.has_generation; }
const std::string& ChatTemplate::source() const { return state_->source; }
const std::string& ChatTemplate::source_name() const { return state_->name; }

}  // namespace hone::text
