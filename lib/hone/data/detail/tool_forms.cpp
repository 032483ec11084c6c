#include "hone/data/detail/tool_forms.h"

#include <algorithm>

#include "hone/core/error.h"

namespace hone::data::detail {
namespace {

std::string text_of(const Json& message) {
  const Json content = message.value("content", Json());
  return content.is_string() ? content.get<std::string>() : "";
}

/// A call's arguments as JSON; OpenAI has them as text that holds JSON.
Json arguments_of(const Json& function, size_t index) {
  const Json arguments = function.value("arguments", Json::object());
  if (!arguments.is_string()) return arguments;
  try {
    return parse_json(arguments.get_ref<const std::string&>(), "arguments");
  } catch (const IoError& error) {
    throw Error("message " + std::to_string(index + 1) + ": a call's " + error.what());
  }
}

std::string text_or_empty(const Json& function, const char* key) {
  const Json value = function.value(key, Json());
  return value.is_string() ? value.get<std::string>() : "";
}

// ---- ChatML, as Qwen2.5 and Qwen3 write it (Hermes) --------------------------------------------

std::string chatml_definitions(const Json& tools) {
  std::string text =
      "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are "
      "provided with function signatures within <tools></tools> XML tags:\n<tools>";
  for (const Json& tool : tools) text += "\n" + python_json(tool);
  return text +
         "\n</tools>\n\nFor each function call, return a json object with function name and "
         "arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": "
         "<function-name>, \"arguments\": <args-json-object>}\n</tool_call>";
}

std::string chatml_call(const Json& function, size_t index) {
  return "<tool_call>\n{\"name\": \"" + text_or_empty(function, "name") +
         "\", \"arguments\": " + python_json(arguments_of(function, index)) + "}\n</tool_call>";
}

std::string chatml_result(const std::string& result) {
  return "<tool_response>\n" + result + "\n</tool_response>";
}

// ---- DeepSeek: definitions as V3.1 has them, calls and results as V3 and R1 do ------------------

std::string deepseek_definitions(const Json& tools) {
  std::string text = "## Tools\nYou have access to the following tools:\n";
  for (const Json& tool : tools) {
    const Json function = tool.value("function", Json::object());
    text += "\n### " + text_or_empty(function, "name") +
            "\nDescription: " + text_or_empty(function, "description") +
            "\n\nParameters: " + python_json(function.value("parameters", Json::object())) + "\n";
  }
  return text;
}

std::string deepseek_call(const Json& function, size_t index) {
  return "<｜tool▁call▁begin｜>function<｜tool▁sep｜>" + text_or_empty(function, "name") +
         "\n```json\n" + python_json(arguments_of(function, index)) + "\n```<｜tool▁call▁end｜>";
}

std::string deepseek_result(const std::string& result) {
  return "<｜tool▁output▁begin｜>" + result + "<｜tool▁output▁end｜>";
}

/// What a family writes around and between its parts.
struct Form {
  std::string (*definitions)(const Json& tools);
  std::string (*call)(const Json& function, size_t index);
  std::string (*result)(const std::string& result);
  const char *before_calls, *after_calls, *before_results, *after_results;
  bool break_before_calls;  ///< between what the assistant says and its calls
};

const Form& form_of(ToolForm form) {
  static constexpr Form kChatMl{
      chatml_definitions, chatml_call, chatml_result, "", "", "", "", true};
  static constexpr Form kDeepSeek{deepseek_definitions,     deepseek_call,
                                  deepseek_result,          "<｜tool▁calls▁begin｜>",
                                  "<｜tool▁calls▁end｜>",   "<｜tool▁outputs▁begin｜>",
                                  "<｜tool▁outputs▁end｜>", false};
  return form == ToolForm::kChatMl ? kChatMl : kDeepSeek;
}

Json with_calls(Json message, const Form& form, size_t index) {
  std::string text = text_of(message);
  if (!text.empty() && form.break_before_calls) text += "\n";
  text += form.before_calls;
  bool first = true;
  for (const Json& call : message.at("tool_calls")) {
    text += (first ? "" : "\n") + form.call(call.value("function", call), index);
    first = false;
  }
  message["content"] = text + form.after_calls;
  message.erase("tool_calls");
  return message;
}

void add_definitions(ChatSample& sample, const Form& form) {
  const std::string text = form.definitions(sample.tools);
  sample.tools = nullptr;
  Json& first = sample.messages.front();
  if (first.at("role") == "system") {
    first["content"] = text_of(first) + "\n\n" + text;
    return;
  }
  sample.messages.insert(sample.messages.begin(),
                         Json::object({{"role", "system"}, {"content", text}}));
  sample.weights.insert(sample.weights.begin(), 0.0F);
}

}  // namespace

ChatSample with_tools_as_text(const ChatSample& sample, ToolForm kind,
                              const text::ToolParts& lost) {
  const Form& form = form_of(kind);
  ChatSample result;
  result.tools = sample.tools;
  const auto& messages = sample.messages;
  for (size_t i = 0; i < messages.size(); ++i) {
    const bool is_result = messages[i].at("role") == "tool" && (lost.results || lost.calls);
    if (!is_result) {
      const bool calls =
          lost.calls && messages[i].contains("tool_calls") && !messages[i].at("tool_calls").empty();
      result.messages.push_back(calls ? with_calls(messages[i], form, i) : messages[i]);
      result.weights.push_back(sample.weights[i]);
      continue;
    }
    std::string text = form.before_results + form.result(text_of(messages[i]));
    for (; i + 1 < messages.size() && messages[i + 1].at("role") == "tool"; ++i) {
      text += "\n" + form.result(text_of(messages[i + 1]));
    }
    result.messages.push_back({{"role", "user"}, {"content", text + form.after_results}});
    result.weights.push_back(0);
  }
  if (lost.definitions) add_definitions(result, form);
  return result;
}

std::string python_json(const Json& json) {
  std::string text;
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      text += (text.empty() ? "" : ", ") + Json(key).dump() + ": " + python_json(value);
    }
    return "{" + text + "}";
  }
  if (json.is_array()) {
    for (const Json& value : json) text += (text.empty() ? "" : ", ") + python_json(value);
    return "[" + text + "]";
  }
  return json.dump();
}

}  // namespace hone::data::detail
