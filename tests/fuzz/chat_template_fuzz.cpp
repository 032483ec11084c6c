// A chat template's source against a fixed conversation: whatever it holds, it renders to valid
// UTF-8 within its bounds, or is an Error.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "hone/core/error.h"
#include "hone/core/utf8.h"
#include "hone/text/chat_template.h"

namespace {

using hone::Json;
using hone::text::ChatInput;
using hone::text::ChatTemplate;

constexpr size_t kMaxOutput = size_t{1} << 20;

ChatInput conversation() {
  const Json call = {{"type", "function"},
                     {"function", {{"name", "search"}, {"arguments", {{"q", "a<b"}, {"n", 3}}}}}};
  ChatInput input;
  input.messages = Json::array(
      {{{"role", "system"}, {"content", "Be brief."}},
       {{"role", "user"}, {"content", "Hé 中文 😀 \"q\""}},
       {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", Json::array({call})}},
       {{"role", "tool"}, {"content", "found\n"}},
       {{"role", "assistant"}, {"content", "<think>\nhm\n</think>\n\nyes"}}});
  input.tools = Json::array({{{"type", "function"}, {"function", {{"name", "search"}}}}});
  input.variables = {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"x", 1.5}};
  input.now = 1'700'000'000;
  return input;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const ChatInput input = conversation();
  try {
    const ChatTemplate chat(
        std::string(reinterpret_cast<const char*>(data), size), "fuzz",
        {.max_source = size_t{1} << 16, .max_output = kMaxOutput, .max_steps = 100'000});
    const std::string text = chat.render(input);
    if (text.size() > kMaxOutput || !hone::is_utf8(text)) std::abort();
    const auto turns = hone::text::render_turns(chat, input);
    int64_t end = 0;
    for (const auto& span : turns.spans) {
      if (span.begin < end || span.end < span.begin ||
          span.end > static_cast<int64_t>(turns.text.size())) {
        std::abort();
      }
      end = span.end;
    }
    hone::text::training_form(chat, input, 4);
  } catch (const hone::Error&) {
  }
  return 0;
}
