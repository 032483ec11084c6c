#include "hone/text/chat_tools.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/error.h"

namespace hone::text {
namespace {

// Texts that no template writes of its own.
constexpr const char* kTool = "hone_probe_tool";
constexpr const char* kCall = "hone_probe_call";
constexpr const char* kResult = "hone-probe-result";
constexpr const char* kId = "honeprobe";  // some templates demand nine letters or digits

Json message(const char* role, const Json& content) {
  return {{"role", role}, {"content", content}};
}

Json probe_tools() {
  return Json::array({{{"type", "function"},
                       {"function",
                        {{"name", kTool},
                         {"description", "A probe."},
                         {"parameters", {{"type", "object"}, {"properties", Json::object()}}}}}}});
}

Json probe_call(const Json& content, const Json& arguments) {
  Json call = message("assistant", content);
  const Json function = {{"name", kCall}, {"arguments", arguments}};
  call["tool_calls"] = Json::array({{{"id", kId}, {"type", "function"}, {"function", function}}});
  return call;
}

std::optional<std::string> rendered(const ChatTemplate& chat, const Json& variables,
                                    std::vector<Json> messages, const Json& tools) {
  ChatInput input;
  input.variables = variables;
  input.messages = Json(std::move(messages));
  input.tools = tools;
  try {
    return chat.render(input);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

ToolParts shown_tools(const ChatTemplate& chat, const Json& variables) {
  const Json question = message("user", "A question."), answer = message("assistant", "An answer.");
  Json result = message("tool", kResult);
  result["name"] = kCall;
  result["tool_call_id"] = kId;

  ToolParts shown;
  bool any = false;
  for (const Json& content : {Json(""), Json()}) {
    for (const Json& arguments : {Json{{"key", 1}}, Json(R"({"key": 1})")}) {
      const auto text =
          rendered(chat, variables, {question, probe_call(content, arguments), result, answer}, {});
      if (!text) continue;
      any = true;
      shown.calls = shown.calls || text->find(kCall) != std::string::npos;
      shown.results = shown.results || text->find(kResult) != std::string::npos;
    }
  }
  if (!any) shown.calls = shown.results = true;
  const auto text = rendered(chat, variables, {question, answer, question}, probe_tools());
  shown.definitions = !text || text->find(kTool) != std::string::npos;
  return shown;
}

ToolParts used_tools(const Json& messages, const Json& tools) {
  ToolParts used{.definitions = tools.is_array() && !tools.empty()};
  for (const Json& each : messages) {
    const Json calls = each.value("tool_calls", Json());
    used.calls = used.calls || (calls.is_array() && !calls.empty());
    used.results = used.results || each.value("role", Json()) == "tool";
  }
  return used;
}

ToolParts lost_tools(const ToolParts& used, const ToolParts& shown) {
  return {used.definitions && !shown.definitions, used.calls && !shown.calls,
          used.results && !shown.results};
}

std::string describe(const ToolParts& parts) {
  std::vector<std::string> names;
  if (parts.definitions) names.emplace_back("definitions");
  if (parts.calls) names.emplace_back("calls");
  if (parts.results) names.emplace_back("results");
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  }
  return text;
}

}  // namespace hone::text
