/// What a chat template shows of tools: many were written before there were any.
#pragma once
#include <string>

#include "hone/core/json.h"
#include "hone/text/chat_template.h"

namespace hone::text {

/// The parts of a conversation with tools: definitions, assistant's calls, and their results.
struct ToolParts {
  bool definitions = false, calls = false, results = false;

  bool any() const { return definitions || calls || results; }
  bool operator==(const ToolParts&) const = default;
};

/// The parts that a template shows. Found by rendering small conversations, with content "" and
/// null beside a call and arguments as an object and as text, not by name. A part at which the
/// template fails counts as shown: what it cannot render is an error, not left out.
/// `variables` as in ChatInput.
ToolParts shown_tools(const ChatTemplate& chat, const Json& variables = Json::object());

/// The parts that a conversation has.
ToolParts used_tools(const Json& messages, const Json& tools);

/// `used` less what is `shown`: what the template would leave out.
ToolParts lost_tools(const ToolParts& used, const ToolParts& shown);

/// "definitions, calls and results", as far as there are any.
std::string describe(const ToolParts& parts);

}  // namespace hone::text
