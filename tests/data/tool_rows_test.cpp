#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "data/support.h"
#include "hone/core/file.h"
#include "hone/core/log.h"
#include "hone/data/detail/tool_forms.h"
#include "hone/text/chat_tools.h"

namespace hone::data {
namespace {

using namespace testing;
using Catch::Contains;
using text::ChatTemplate;
using text::ToolParts;

std::string source(const std::string& name) {
  return read_file(std::string(HONE_SOURCE_DIR) + "/tests/data/chat/" + name + ".jinja", 1 << 20);
}

text::TokenizerFolder folder_with(const std::string& name) {
  auto folder = make_folder();
  folder.chat_template = source(name);
  folder.chat_template_source = name;
  return folder;
}

const std::string kTools =
    R"("tools": [{"name": "add", "description": "Adds.", "parameters": {"type": "object"}}])";
/// A conversation with a call, two results, and an answer.
const std::string kCalls =
    R"({"messages": [{"role": "system", "content": "S."}, {"role": "user", "content": "1+2?"},
        {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function":
         {"name": "add", "arguments": {"a": 1, "b": [2, "ü"]}}}]},
        {"role": "tool", "content": "3"}, {"role": "tool", "content": "4"},
        {"role": "assistant", "content": "Three."}], )";
const std::string kPlain =
    R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})";

std::string one_line(std::string row) {
  for (char& c : row) c = c == '\n' ? ' ' : c;
  return row + "\n";
}
const std::string kRow = one_line(kCalls + kTools + "}");

TEST_CASE("what a template shows of tools is found by rendering, not by name") {
  const auto shown = [](const std::string& name) {
    return text::shown_tools(ChatTemplate(source(name), name),
                             {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
  };
  const ToolParts all{true, true, true};
  CHECK(shown("qwen2_5") == all);
  CHECK(shown("qwen3") == all);
  CHECK(shown("llama3") == all);
  CHECK(shown("mistral") == all);
  CHECK(shown("deepseek_v3_1") == all);
  CHECK(shown("deepseek_v3") == ToolParts{false, true, true});
  CHECK(shown("deepseek_r1") == ToolParts{false, true, true});
  CHECK(shown("deepseek_v2_5") == ToolParts{});
  CHECK(shown("chatml") == ToolParts{false, false, true});
  // What a template refuses is an error of its own: nothing is lost in silence.
  CHECK(text::shown_tools(ChatTemplate("{{ raise_exception('no') }}", "t")) == all);
}

TEST_CASE("rows whose tools a template leaves out are an error that counts them") {
  const std::string rows = kRow + one_line(kPlain) + kRow +
                           one_line(kPlain.substr(0, kPlain.size() - 1) + ", " + kTools + "}");
  CHECK(failure(rows, folder_with("chatml")) ==
        "data set \"data_test_rows\": chatml does not show tool calls or results of 2 and tool "
        "definitions of 3 of its 4 rows: the model would learn to say nothing there. Set tool_form "
        "to chatml or deepseek to write them as text in that family's form, or to leave_out");
  CHECK_THAT(failure(rows, folder_with("deepseek_r1")),
             Contains("deepseek_r1 does not show tool definitions of 3 of its 4 rows"));
  CHECK(failure(rows, folder_with("qwen2_5")).empty());
  // ShareGPT's function calls, as LLaMA-Factory's glaive file has them.
  const std::string glaive = one_line(
      R"({"conversations": [{"from": "human", "value": "q"}, {"from": "function_call",
          "value": "{\"name\": \"f\", \"arguments\": {}}"}], "tools": ""})");
  CHECK_THAT(failure(glaive, folder_with("chatml")),
             Contains("does not show tool calls or results of 1 of its 1 rows"));
}

TEST_CASE("rows that would lose their calls can be left out, by number") {
  std::vector<std::string> warnings;
  set_log_sink([&](LogLevel level, std::string_view text) {
    if (level == LogLevel::kWarning) warnings.emplace_back(text);
  });
  const std::string defined = one_line(kPlain.substr(0, kPlain.size() - 1) + ", " + kTools + "}");
  const auto folder = folder_with("chatml");
  const Dataset set =
      load(kRow + one_line(kPlain) + defined, folder, {.tool_form = ToolForm::kLeaveOut});
  set_log_sink(nullptr);
  CHECK(set.counts.documents == 2);
  CHECK(set.counts.lost_calls == 1);
  CHECK(set.counts.lost_tools == 2);
  CHECK(warnings == std::vector<std::string>{
                        "data set \"data_test_rows\": chatml does not show tool calls or results "
                        "of 1 and tool definitions of 2 of its 3 rows; rows without their calls or "
                        "results are left out"});
}

TEST_CASE("tools written as text under plain ChatML are what Qwen2.5's own template writes") {
  const auto own = folder_with("qwen2_5"), plain = folder_with("chatml");
  const Dataset expected = load(kRow, own);
  const Dataset written = load(kRow, plain, {.tool_form = ToolForm::kChatMl});
  CHECK(marked(written, plain.tokenizer) == marked(expected, own.tokenizer));
  CHECK_THAT(marked(written, plain.tokenizer)[0],
             Contains("[<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": [2, "
                      "\"ü\"]}}\n</tool_call><|im_end|>]"));
  // A template that shows all of it is left to do so.
  CHECK(load(kRow, own, {.tool_form = ToolForm::kChatMl}).hash == expected.hash);
}

TEST_CASE("DeepSeek's form writes what a template of the family lacks") {
  const auto r1 = folder_with("deepseek_v3"), old = folder_with("deepseek_v2_5");
  const std::string whole = marked(
      load(kRow, r1, {.tool_form = ToolForm::kDeepSeek, .train_on = TrainOn::kLastAssistant}),
      r1.tokenizer)[0];
  CHECK_THAT(whole, Contains("S.\n\n## Tools\nYou have access to the following tools:\n\n### add\n"
                             "Description: Adds.\n\nParameters: {\"type\": \"object\"}\n"));
  const std::string written =
      marked(load(kRow, old, {.tool_form = ToolForm::kDeepSeek}), old.tokenizer)[0];
  const std::string call =
      "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n"
      "{\"a\": 1, \"b\": [2, \"ü\"]}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>";
  CHECK_THAT(whole, Contains(call));  // the template's own
  CHECK_THAT(written, Contains("[" + call));
  CHECK_THAT(written,
             Contains("<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>3<｜tool▁output▁end｜>\n"
                      "<｜tool▁output▁begin｜>4<｜tool▁output▁end｜><｜tool▁outputs▁end｜>"));
}

TEST_CASE("arguments may be text that holds JSON, and must then be JSON") {
  const auto row = [](const std::string& arguments) {
    return R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": null,
               "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": )" +
           arguments + "}}]}]}";
  };
  const auto folder = folder_with("chatml");
  const DatasetOptions options{.tool_form = ToolForm::kChatMl};
  CHECK_THAT(marked(load(one_line(row(R"("{\"a\":1.5}")")), folder, options), folder.tokenizer)[0],
             Contains("\"arguments\": {\"a\": 1.5}}"));
  CHECK_THAT(failure(one_line(row(R"("{")")), folder, options),
             Contains(":1: message 2: a call's arguments: "));
}

}  // namespace
}  // namespace hone::data
