#include <catch2/catch.hpp>

#include "data/support.h"
#include "hone/data/detail/sample.h"

namespace hone::data {
namespace {

using namespace testing;
using Catch::Contains;
using detail::ChatSample;
using detail::PairSample;

detail::Sample parse(const std::string& json, Format format = Format::kAuto, bool plain = false) {
  detail::RawRow row;
  row.file = std::make_shared<detail::RowFile>(detail::RowFile{"f", {.format = format}});
  row.bytes = json;
  return detail::parse_row(row, plain);
}

ChatSample chat(const std::string& json, Format format = Format::kAuto) {
  return std::get<ChatSample>(parse(json, format));
}

std::string reason(const std::string& json, Format format = Format::kAuto, bool plain = false) {
  try {
    parse(json, format, plain);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string messages(const std::string& list) { return "{\"messages\": [" + list + "]}"; }

const std::string kUser = R"({"role": "user", "content": "q"})";
const std::string kBot = R"({"role": "assistant", "content": "a"})";

TEST_CASE("a whole number beyond 64 bits stops a row only where a template would print it") {
  const std::string huge = "1000000000000000019884624838656";
  const std::string call =
      R"({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"n": )";
  CHECK(reason("{\"id\": " + huge + ", \"messages\": [" + kUser + ", " + kBot + "]}").empty());
  CHECK_THAT(reason(messages(kUser + ", " + call + huge + "}}}]}")),
             Contains("a whole number beyond 64 bits") && Contains("make it a string"));
  CHECK(reason(messages(kUser + ", " + call + "1e20}}}]}")).empty());
  CHECK_THAT(reason("{\"messages\": [" + kUser + ", " + kBot +
                    "], \"tools\": [{\"name\": \"f\", "
                    "\"most\": " +
                    huge + "}]}"),
             Contains("a whole number beyond 64 bits"));
}

TEST_CASE("OpenAI messages keep their keys, and their weights apart") {
  const ChatSample sample = chat(
      R"({"messages": [{"role": "developer", "content": "s"}, {"role": "user", "content": "q",
          "name": "n"}, {"role": "assistant", "content": "a", "train": false},
          {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
          {"role": "assistant", "content": null, "weight": 0.5,
           "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]},
          {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"},
          {"role": "assistant", "content": "d", "weight": 1}],
          "tools": [{"name": "f"}, {"type": "function", "function": {"name": "g"}}]})");
  CHECK(sample.weights == std::vector<float>{0, 0, 0, 0, 0.5F, 0, 0, 1});
  CHECK(sample.messages[0].dump() == R"({"role":"system","content":"s"})");
  CHECK(sample.messages[1].at("name") == "n");
  CHECK(sample.messages[2].dump() == R"({"role":"assistant","content":"a"})");
  CHECK(sample.messages[3].at("content") == "bc");
  CHECK(sample.messages[4].at("content").is_null());
  CHECK_FALSE(sample.messages[4].contains("weight"));
  CHECK(
      sample.tools.dump() ==
      R"([{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}])");
}

TEST_CASE("ShareGPT becomes the same, with its calls and observations") {
  const ChatSample sample = chat(
      R"({"conversations": [{"from": "human", "value": "q"},
          {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"x\": 1}}"},
          {"from": "observation", "value": "2"}, {"from": "gpt", "value": "a"}],
          "system": "s", "tools": "[{\"name\": \"f\"}]"})");
  CHECK(sample.messages.dump() ==
        R"([{"role":"system","content":"s"},{"role":"user","content":"q"},)"
        R"({"role":"assistant","content":"","tool_calls":[{"type":"function",)"
        R"("function":{"name":"f","arguments":{"x":1}}}]},)"
        R"({"role":"tool","content":"2"},{"role":"assistant","content":"a"}])");
  CHECK(sample.weights == std::vector<float>{0, 0, 1, 0, 1});
  CHECK(sample.tools.size() == 1);
  // A leading system message wins over the column.
  CHECK(chat(R"({"conversations": [{"from": "system", "value": "own"},
                 {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "system": "s"})")
            .messages[0]
            .at("content") == "own");
}

TEST_CASE("Alpaca is a conversation, or Stanford's text to the letter") {
  const std::string with = R"({"instruction": "Add.", "input": "1, 2", "output": "3"})";
  const std::string without = R"({"instruction": "Hi", "input": "", "output": "Hello"})";
  CHECK(chat(with).messages.dump() ==
        R"([{"role":"user","content":"Add.\n1, 2"},{"role":"assistant","content":"3"}])");
  CHECK(chat(without).messages[0].at("content") == "Hi");
  const auto pair = std::get<PairSample>(parse(with, Format::kAlpaca, true));
  CHECK(pair.prompt ==
        "Below is an instruction that describes a task, paired with an input that provides further "
        "context. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nAdd.\n\n### Input:\n1, 2\n\n### Response:");
  CHECK(pair.completion == "3");
  CHECK(std::get<PairSample>(parse(without, Format::kAlpaca, true)).prompt ==
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n### Instruction:\nHi\n\n### Response:");
  const std::string history =
      R"({"instruction": "c", "output": "d", "system": "s", "history": [["a", "b"]]})";
  CHECK(chat(history).messages.size() == 5);
  CHECK(chat(history).weights == std::vector<float>{0, 0, 1, 0, 1});
  CHECK_THAT(reason(history, Format::kAuto, true), Contains("chat_form plain cannot show"));
}

TEST_CASE("prompt and completion are strings or messages") {
  const auto pair = std::get<PairSample>(parse(R"({"prompt": "a", "completion": "b"})"));
  CHECK(pair.prompt == "a");
  const ChatSample sample = chat("{\"prompt\": [" + kUser + "," + kBot + "," + kUser +
                                 "], \"completion\": [" + kBot + "]}");
  CHECK(sample.messages.size() == 4);
  CHECK(sample.weights == std::vector<float>{0, 0, 0, 1});
}

TEST_CASE("tokens made elsewhere are taken with their labels, less padding") {
  const auto sample = std::get<detail::TokenSample>(
      parse(R"({"input_ids": [0, 7, 8, 9, 0], "labels": [-100, -100, 8, 9, -100],
                "attention_mask": [0, 1, 1, 1, 0]})"));
  CHECK(sample.ids == std::vector<int64_t>{7, 8, 9});
  CHECK(sample.labels == std::vector<int64_t>{-100, 8, 9});
  const Dataset set = load(R"({"input_ids": [5, 6, 7], "labels": [-100, -100, 7]})", make_folder());
  CHECK(set.examples[0].targets == std::vector<int64_t>{-100, 7, -100});
  CHECK_THAT(failure(R"({"input_ids": [5, 261]})", make_folder()),
             Contains("must lie in [0, 261), got 261"));
}

TEST_CASE("segments are joined as they are, with neither bos nor eos") {
  const auto folder = make_folder({}, true);
  const Dataset set = load(
      R"({"segments": [{"label": false, "text": "<s>ab"}, {"label": true, "text": "cd</s>"}]})",
      folder);
  CHECK(marked(set, folder.tokenizer) == std::vector<std::string>{"<s>ab[cd</s>]"});
}

TEST_CASE("a token over the border of what is trained is not trained") {
  const auto folder = make_folder({{"b", "c"}});
  const std::string row = R"({"segments": [{"label": false, "text": "ab"},)"
                          R"({"label": true, "text": "cde"}, {"label": false, "text": "f"}]})";
  CHECK(marked(load(row, folder), folder.tokenizer) == std::vector<std::string>{"abc[de]f"});
}

TEST_CASE("a prompt whose tokens change when the completion follows is a bad row") {
  const auto folder = make_folder({{"b", "c"}}, true);
  CHECK_THAT(failure(R"({"prompt": "ab", "completion": "cd"})", folder),
             Contains("data_test_rows.jsonl:1: the prompt's tokens change when the completion "
                      "follows (from token 2 on)"));
  CHECK(marked(load(R"({"prompt": "ab", "completion": " cd"})", folder), folder.tokenizer) ==
        std::vector<std::string>{"<s>ab[ cd</s>]"});
}

TEST_CASE("what makes a row bad is said") {
  struct Bad {
    std::string json, reason;
    Format format = Format::kAuto;
  };
  const std::string deep = std::string(70, '[') + std::string(70, ']');
  const std::vector<Bad> table{
      {"", "not valid JSON: "},
      {"{", "not valid JSON: "},
      {"{\"text\": \"a\"} x", "not valid JSON: "},
      {"{\"text\": \"\xff\"}", "UTF-8"},
      {"{\"text\": \"\\ud800\"}", "surrogate"},
      {std::string("{\"text\": \"\0\"}", 13), "not valid JSON: "},
      {"{\"text\": " + deep + "}", "nested deeper than 64"},
      {"{\"text\": \"a\", \"text\": \"b\"}", "/text: duplicate key"},
      {"[1]", "expected an object, got array"},
      {"null", "expected an object, got null"},
      {"{}", "no known format: none"},
      {"{\"txt\": \"a\"}", "no known format: \"txt\""},
      {"{\"prompt\": \"a\", \"answer\": \"b\"}", "no known format: \"prompt\", \"answer\""},
      {"{\"text\": 1}", "\"text\" must be a string, got number"},
      {"{\"text\": null}", "\"text\" must be a string, got null"},
      {"{\"text\": \"a\", \"instruction\": \"b\", \"output\": \"c\"}",
       "keys of format text and of alpaca; set the data set's format"},
      {"{\"a\": 1}", "\"text\" is missing", Format::kText},
      {"{\"prompt\": \"a\", \"completion\": \"\"}", "\"completion\" is empty"},
      {"{\"prompt\": \"a\", \"completion\": []}", "must both be strings or both lists"},
      {"{\"prompt\": [], \"completion\": []}", "must be a list that is not empty"},
      {"{\"instruction\": \"\", \"output\": \"a\"}", "\"instruction\" is empty"},
      {"{\"instruction\": \"a\", \"output\": \"\"}", "\"output\" is empty"},
      {"{\"instruction\": \"a\", \"output\": \"b\", \"history\": 1}", "must be a list of pairs"},
      {"{\"instruction\": \"a\", \"output\": \"b\", \"history\": [[\"x\"]]}", "pairs of strings"},
      {"{\"messages\": 1}", "must be a list that is not empty"},
      {messages(""), "must be a list that is not empty"},
      {messages("1"), "message 1: must be an object"},
      {messages("{}"), "message 1: \"role\" is missing"},
      {messages(R"({"role": 1})"), "message 1: \"role\" must be a string"},
      {messages(R"({"role": "bot", "content": ""})"), "message 1: unknown role \"bot\""},
      {messages(kBot), "message 1: role assistant cannot come first"},
      {messages(kUser), "must end with the assistant, not user"},
      {messages(kUser + "," + kUser), "message 2: role user cannot follow user"},
      {messages(kUser + "," + kBot + "," + kBot), "message 3: role assistant cannot follow"},
      {messages(kUser + R"(,{"role": "system", "content": "s"})"), "system cannot follow user"},
      {messages(kUser + R"(,{"role": "tool", "content": "s"})"), "tool cannot follow user"},
      {messages(R"({"role": "user"})"), "message 1: \"content\" is empty"},
      {messages(R"({"role": "user", "content": 1})"), "\"content\" must be a string, null or a"},
      {messages(R"({"role": "user", "content": [{"type": "thought"}]})"), "may hold parts"},
      {messages(kUser + R"(,{"role": "assistant", "content": ""})"), "2: \"content\" is empty"},
      {messages(R"({"role": "user", "content": "q", "train": true})"), "only an assistant's"},
      {messages(kUser + R"(,{"role": "assistant", "content": "a", "train": 1})"),
       "\"train\" must be true or false"},
      {messages(kUser + R"(,{"role": "assistant", "content": "a", "weight": -1})"),
       "\"weight\" must lie between 0 and 1000000, got -1"},
      {messages(kUser + R"(,{"role": "assistant", "content": "a", "weight": 1, "train": true})"),
       "has both"},
      {messages(kUser + R"(,{"role": "assistant", "content": "a", "train_detail": []})"),
       "train_detail is not supported"},
      {"{\"messages\": [" + kUser + "," + kBot + "], \"tools\": \"[\"}", "tools: line 1"},
      {"{\"messages\": [" + kUser + "," + kBot + "], \"tools\": {}}", "\"tools\" must be a list"},
      {R"({"conversations": [{"from": "user", "value": "q"}]})",
       "unknown role \"user\"; known: human, gpt, observation, function_call, system"},
      {R"({"conversations": [{"value": "q"}]})", "message 1: \"from\" is missing"},
      {R"({"conversations": [{"from": "human"}]})", "message 1: \"content\" is empty"},
      {R"({"conversations": [{"from": "human", "value": "q"},
           {"from": "function_call", "value": "call f"}]})",
       "message 2: function call: line 1"},
      {R"({"segments": [{"text": "a"}]})", "must hold objects"},
      {R"({"segments": "a"})", "\"segments\" must be a list"},
      {R"({"input_ids": [1.5]})", "\"input_ids\" must be a list of integers"},
      {R"({"input_ids": [1, 2], "labels": [1]})", "must be as long as \"input_ids\", 2, got 1"},
      {R"({"input_ids": [1, 2], "labels": [2, -100]})", "(not shifted); at 0"},
      {R"({"input_ids": [1, 2, 3], "attention_mask": [1, 0, 1]})", "one stretch of tokens"},
      {R"({"input_ids": [1], "attention_mask": [2]})", "one stretch of tokens"},
  };
  for (const Bad& bad : table) {
    INFO(bad.json);
    CHECK_THAT(reason(bad.json, bad.format), Contains(bad.reason));
  }
}

TEST_CASE("preference data is called so instead of being trained") {
  const std::string fix = "is preference data (\"chosen\"), which is not trained here";
  CHECK_THAT(reason(R"({"prompt": "q", "chosen": "a", "rejected": "b"})"), Contains(fix));
  CHECK_THAT(reason(R"({"conversations": [{"from": "human", "value": "q"}],
                        "chosen": {"from": "gpt", "value": "a"}, "rejected": {}})"),
             Contains(fix));
  CHECK_THAT(reason(R"({"rejected": []})"), Contains("preference data (\"rejected\")"));
  const std::string list = "[" + kUser + "," + kBot + "]";
  for (const char* answer : {"true", "false"}) {
    CHECK_THAT(reason("{\"messages\": " + list + ", \"label\": " + answer + "}"),
               Contains(std::string("is KTO preference data (\"label\" ") + answer + ")"));
  }
  CHECK_THAT(
      reason(R"({"prompt": "q", "completion": "a", "label": false})", Format::kPromptCompletion),
      Contains("KTO") && Contains("keep the rows whose \"label\" is true"));
  CHECK_THAT(reason(R"({"instruction": "q", "output": "a", "kto_tag": true})"), Contains("KTO"));
  // A class that stands beside a text is no preference, nor is a label that is no truth value.
  CHECK(reason(R"({"text": "a", "label": true})").empty());
  CHECK(reason("{\"messages\": " + list + ", \"label\": \"law\"}").empty());
  CHECK(reason(R"({"text": "a", "chosen": 1})", Format::kText).empty());
}

TEST_CASE("rows about images, videos and sounds are called so instead of being trained as text") {
  const std::string list = "[" + kUser + "," + kBot + "]";
  for (const char* key : {"images", "videos", "audios", "image"}) {
    CHECK_THAT(reason("{\"messages\": " + list + ", \"" + key + "\": [\"a.png\"]}"),
               Contains("holds \"" + std::string(key) + "\": only text is trained"));
    CHECK(reason("{\"messages\": " + list + ", \"" + key + "\": []}").empty());
  }
  CHECK_THAT(reason(messages(R"({"role": "user", "content": [{"type": "image_url", "image_url": {}},
                                 {"type": "text", "text": "q"}]},)" +
                             kBot)),
             Contains("message 1: \"content\" holds a part of type image_url: only text"));
}

}  // namespace
}  // namespace hone::data
