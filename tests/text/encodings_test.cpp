#include "hone/text/encodings.h"

#include <catch2/catch.hpp>

#include "hone/text/chat_template.h"
#include "hone/text/chat_tools.h"

namespace hone::text {
namespace {

ChatTemplate encoding(const char* type) { return {makers_encoding(type), type}; }

ChatInput conversation(bool thinking) {
  ChatInput input;
  input.messages = {{{"role", "user"}, {"content", "q1"}},
                    {{"role", "assistant"}, {"content", "a1"}, {"reasoning_content", "t1"}},
                    {{"role", "user"}, {"content", "q2"}},
                    {{"role", "assistant"}, {"content", "a2"}, {"reasoning_content", "t2"}}};
  input.variables = {{"thinking", thinking}};
  return input;
}

/// The trained stretches, one after the other.
std::string trained(const ChatTemplate& chat, const ChatInput& input, ChatTurns turns) {
  const RenderedChat rendered = render_turns(chat, input, turns);
  std::string text;
  for (const ChatSpan& span : rendered.spans) {
    text += rendered.text.substr(static_cast<size_t>(span.begin),
                                 static_cast<size_t>(span.end - span.begin)) +
            "|";
  }
  return text;
}

// The texts themselves: tests/interop/text_encodings.py.
TEST_CASE("turns of the makers' encodings are trained as those of templates") {
  for (const char* type : {"deepseek_v32", "deepseek_v4"}) {
    const ChatTemplate chat = encoding(type);
    CHECK(trained(chat, conversation(false), ChatTurns::kAll) ==
          "a1<｜end▁of▁sentence｜>|a2<｜end▁of▁sentence｜>|");
    CHECK(trained(chat, conversation(true), ChatTurns::kLast) ==
          "t2</think>a2<｜end▁of▁sentence｜>|");
    // The first turn is another text once the second question came.
    CHECK_THROWS_WITH(render_turns(chat, conversation(true)), Catch::Contains("message 1"));
    CHECK(shown_tools(chat) == ToolParts{true, true, true});
    CHECK_FALSE(discards_reasoning(chat, {{"thinking", true}}));
  }
}

TEST_CASE("with tools DeepSeek-V4 keeps all thoughts, so that all turns can be trained") {
  ChatInput input = conversation(true);
  input.tools = {{{"type", "function"}, {"function", {{"name", "look"}}}}};
  CHECK(trained(encoding("deepseek_v4"), input, ChatTurns::kAll) ==
        "t1</think>a1<｜end▁of▁sentence｜>|t2</think>a2<｜end▁of▁sentence｜>|");
}

TEST_CASE("other models have no encoding of their makers") {
  CHECK(makers_encoding("deepseek_v3") == nullptr);
  CHECK(makers_encoding("") == nullptr);
}

}  // namespace
}  // namespace hone::text
