// Renders chat templates with hone for tests/interop/text_chat.py.
//
//   chat_tool    one request a line on stdin, one reply a line on stdout; both JSON
//
// Request: {"template": source or "model_type": one with an encoding of its makers, "op": ...,
// "input": {"messages", "tools"?, "documents"?, "add_generation_prompt"?, "variables"?, "now"?},
// "message"?}. Ops and what their replies hold:
//   render    "text"
//   turns     "text", "spans": [[begin, end, message], ...]; with "last": true of the last turn
//   only marked    the same of {% generation %} blocks training  "segments": [[text, trained], ...]
//   of "message" discards  "discards"
// A reply to what fails is {"error": message}.
#include <iostream>
#include <string>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/text/chat_template.h"
#include "hone/text/encodings.h"

namespace {

using hone::Json;
namespace text = hone::text;

text::ChatInput input_of(const Json& json) {
  text::ChatInput input;
  input.messages = json.value("messages", Json::array());
  input.tools = json.value("tools", Json());
  input.documents = json.value("documents", Json());
  input.add_generation_prompt = json.value("add_generation_prompt", false);
  input.variables = json.value("variables", Json::object());
  if (json.contains("now")) input.now = json["now"].get<std::time_t>();
  return input;
}

Json with_spans(const text::RenderedChat& chat) {
  Json spans = Json::array();
  for (const auto& [begin, end, message] : chat.spans) spans.push_back({begin, end, message});
  return {{"text", chat.text}, {"spans", spans}};
}

Json reply_to(const Json& request) {
  const text::ChatTemplate chat(
      request.contains("model_type")
          ? text::makers_encoding(request.at("model_type").get<std::string>())
          : request.at("template").get<std::string>(),
      "template");
  const text::ChatInput input = input_of(request.value("input", Json::object()));
  const auto op = request.at("op").get<std::string>();
  if (op == "render") return {{"text", chat.render(input)}};
  if (op == "marked") return with_spans(chat.render_generation(input));
  if (op == "turns") {
    const bool last = request.value("last", false);
    return with_spans(
        text::render_turns(chat, input, last ? text::ChatTurns::kLast : text::ChatTurns::kAll));
  }
  if (op == "discards") return {{"discards", text::discards_reasoning(chat, input.variables)}};
  if (op != "training") throw hone::Error("unknown op " + op);
  Json segments = Json::array();
  for (const auto& [part, trained] : text::training_form(chat, input, request.at("message"))) {
    segments.push_back(Json::array({part, trained}));
  }
  return {{"segments", segments}};
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    Json reply;
    try {
      reply = reply_to(hone::parse_json(line, "request"));
    } catch (const hone::Error& error) {
      reply = {{"error", error.what()}};
    }
    std::cout << reply.dump() << "\n";
  }
  return 0;
}
