#include "hone/text/chat_template.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "hone/core/error.h"

namespace hone::text {
namespace {

std::string file(const std::string& name) {
  std::ifstream stream(std::string(HONE_SOURCE_DIR) + "/tests/data/chat/" + name + ".jinja");
  return {std::istreambuf_iterator<char>(stream), {}};
}

ChatTemplate family(const std::string& name) { return {file(name), name}; }

const Json kDeepSeek = {{"bos_token", "<s>"}, {"eos_token", "<｜end▁of▁sentence｜>"}};

using Messages = std::vector<Json>;

ChatInput conversation(const Messages& messages, Json variables = kDeepSeek) {
  ChatInput input;
  input.messages = messages;
  input.variables = std::move(variables);
  return input;
}

Json user(const char* text) { return {{"role", "user"}, {"content", text}}; }
Json assistant(const char* text) { return {{"role", "assistant"}, {"content", text}}; }

std::string error_of(const auto& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// The texts of the spans.
std::vector<std::string> spoken(const RenderedChat& chat) {
  std::vector<std::string> texts;
  for (const auto& [begin, end, message] : chat.spans) {
    texts.push_back(chat.text.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
  }
  return texts;
}

TEST_CASE("a template is rendered as jinja2 renders it") {
  const auto render = [](const char* source, ChatInput input = conversation({user("hé")})) {
    return ChatTemplate(source, "t").render(input);
  };
  CHECK(render("{{ messages[0].content|length }}{{ tools }}{{ add_generation_prompt }}") ==
        "2NoneFalse");
  CHECK(render("{{ bos_token }}{{ nothing }}") == "<s>");
  ChatInput now = conversation({user("x")});
  now.now = 86400 * 365 + 43200;
  CHECK(render("{{ strftime_now('%d %b %Y') }}", now) == "01 Jan 1971");
  const Json thinking = {{"role", "assistant"}, {"content", nullptr}, {"thinking", "t"}};
  const ChatInput named = conversation({thinking});
  CHECK(render("{{ messages[0] }}", named) ==
        "{'thinking': 't', 'role': 'assistant', 'reasoning_content': 't'}");
}

TEST_CASE("errors name the template, the line and the construct") {
  const auto render = [](const char* source) {
    return error_of([&] { ChatTemplate(source, "t").render(conversation({user("x")})); });
  };
  CHECK(render("\n\n{{ raise_exception('roles must alternate') }}") ==
        "t: line 3: roles must alternate");
  CHECK(render("a\n{% if true %}\n{{ x.y }}{% endif %}") == "t: line 3: 'x' is undefined");
  CHECK(render("{% include 'secret' %}") == "t: line 1: unknown tag {% include %}");
  CHECK(render("\n{{ 1|xmlattr }}") == "t: line 2: the filter 'xmlattr' is not supported");
  CHECK(render("{{ 1 is nonsense }}") == "t: line 1: unknown test 'nonsense'");
  CHECK(render("{{ messages.append(1) }}") ==
        "t: line 1: access to attribute 'append' of a list is not safe");
  CHECK(render("{{ ''.__class__.__mro__ }}").find("is not safe") != std::string::npos);
  CHECK(render("{{ 'a'.encode() }}") ==
        "t: line 1: the attribute 'encode' of a str is not supported");
  CHECK(render("{{ {}.items }}") == "t: line 1: a function cannot be printed");
  CHECK(render("{% for x in [1] recursive %}{% endfor %}") ==
        "t: line 1: recursive loops are not supported");
  CHECK(render("{% if true %}") == "t: line 1: missing {% endif %}");
  CHECK(render("{{ 'a' + 1 }}") == "t: line 1: '+' is not defined between str and int");
}

TEST_CASE("unknown filters and tests fail when they are reached, or at once where jinja2 does") {
  const auto render = [](const char* source) {
    std::string text;
    const std::string error =
        error_of([&] { text = ChatTemplate(source, "t").render(conversation({user("x")})); });
    return error == "no error" ? text : error;
  };
  // Loaded: DeepSeek's newer templates ask for a filter before they use it.
  CHECK(render("{% if 'from_json' is filter %}{{ messages|from_json }}{% endif %}a") == "a");
  CHECK(render("{{ 1 if true else 2|nope }}") == "1");
  CHECK(render("{% if true %}\n{{ 2|nope }}{% endif %}") == "t: line 2: unknown filter 'nope'");
  const auto loads = [](const char* source) {
    return error_of([&] { ChatTemplate(source, "t"); }) == "no error";
  };
  CHECK(loads("{% if true %}{{ 2|nope }}{% endif %}"));
  CHECK_FALSE(loads("{{ 2|nope }}"));
  CHECK_FALSE(loads("{% if true %}{% for i in [] %}{{ i is nope }}{% endfor %}{% endif %}"));
}

TEST_CASE("replace takes count by name, as Python 3.13 does") {
  const auto render = [](const char* source) {
    return ChatTemplate(source, "t").render(conversation({user("x")}));
  };
  CHECK(render("{{ 'aaa'.replace('a', 'b', count=1) }}") == "baa");
  CHECK(render("{{ 'aaa'|replace('a', 'b', count=1) }}") == "baa");
  CHECK(error_of([&] { render("{{ 'aaa'.replace(old='a', new='b') }}"); }).find("unnamed") !=
        std::string::npos);
}

TEST_CASE("inputs that are no conversation are errors") {
  const ChatTemplate chat("{{ messages|length }}", "t");
  const auto failure = [&](ChatInput input) { return error_of([&] { chat.render(input); }); };
  CHECK(failure(conversation({})) == "t: the conversation is empty");
  CHECK(failure(conversation({1})) == "t: message 0 must be an object");
  ChatInput single;
  single.messages = user("x");
  CHECK(failure(single) == "t: messages must be a list");
  CHECK(failure(conversation({user("\xff")})) == "t: a text of the conversation is not UTF-8");
  ChatInput tools = conversation({user("x")});
  tools.tools = "search";
  CHECK(failure(tools) == "t: tools must be null or a list of objects");
  Json deep = 1;
  for (int i = 0; i < 300; ++i) deep = Json::array({deep});
  CHECK(failure(conversation({user("x")}, {{"deep", deep}})) ==
        "t: the conversation is nested too deep");
}

TEST_CASE("hostile templates are stopped") {
  const ChatLimits limits{.max_source = 2000, .max_output = 10000, .max_steps = 20000};
  const auto failure = [&](const std::string& source) {
    return error_of([&] { ChatTemplate(source, "t", limits).render(conversation({user("x")})); });
  };
  const auto stopped = [&](const std::string& source, const char* by) {
    INFO(source);
    CHECK(failure(source).find(by) != std::string::npos);
  };
  stopped("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
          "steps");
  stopped("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested");
  stopped("{{ 'x' * 99999999999 }}", "grows over");
  stopped("{{ [0] * 99999999999 }}", "steps");
  stopped("{% for i in range(5000) %}long text{% endfor %}", "grows over");
  stopped(
      "{% set ns = namespace(t='xxxxxxxx') %}{% for i in range(99) %}{% set ns.t = ns.t + ns.t %}"
      "{% endfor %}",
      "grows over");
  stopped(
      "{% set ns = namespace(t=[]) %}{% for i in range(999) %}{% set ns.t = [ns.t] %}{% endfor %}",
      "nested");
  stopped(
      "{% set ns = namespace(t=[1]) %}{% for i in range(60) %}{% set ns.t = [ns.t, ns.t] %}"
      "{% endfor %}{{ ns.t }}",
      "steps");
  stopped(
      "{% set ns = namespace(t=[1]) %}{% for i in range(600) %}{% set ns.t = ns.t|map('abs') %}"
      "{% endfor %}{{ ns.t|list }}",
      "nested");
  stopped("{% set ns = namespace() %}{% set ns.self = ns %}{{ ns }}", "nested");
  stopped("{{ 'a'.center(99999999999) }}", "grows over");
  stopped("{{ '%99999999999d' % 1 }}", "grows over");
  stopped("{{ 2 ** 99999 }}", "64 bits");
  stopped("{{ -9223372036854775807 - 2 }}", "64 bits");
  stopped("{{ " + std::string(500, '(') + "1" + std::string(500, ')') + " }}", "nested too deep");
  stopped("{{ " + std::string(500, '-') + "1 }}", "nested too deep");
  std::string sum = "{{ 1";
  for (int i = 0; i < 500; ++i) sum += "+1";
  stopped(sum + " }}", "nested too deep");
  stopped(std::string(2001, 'x'), "more than 2000 bytes");
}

TEST_CASE("a loop's variable outlives the loop without harm") {
  const ChatTemplate chat(
      "{% set ns = namespace() %}{% for i in [1, 2] if i %}{% set ns.loop = loop %}{% endfor %}"
      "{{ ns.loop.index }}{{ ns.loop.last }}",
      "t");
  CHECK(error_of([&] { chat.render(conversation({user("x")})); }) ==
        "t: line 1: a loop variable is asked for more after its loop has ended");
}

TEST_CASE("spans hold what the assistant says, its end token and nothing else") {
  const Messages messages = {user("a"), assistant("first"), user("b"), assistant("zweite 中")};
  const auto chatml = render_turns(family("chatml"), conversation(messages, Json::object()));
  CHECK(spoken(chatml) == std::vector<std::string>{"first<|im_end|>", "zweite 中<|im_end|>"});
  CHECK(chatml.spans[1].message == 3);
  const auto last =
      render_turns(family("chatml"), conversation(messages, Json::object()), ChatTurns::kLast);
  CHECK(spoken(last) == std::vector<std::string>{"zweite 中<|im_end|>"});
  // DeepSeek LLM generates the space after its prompt.
  CHECK(spoken(render_turns(family("deepseek_llm"), conversation(messages))) ==
        std::vector<std::string>{" first<｜end▁of▁sentence｜>", " zweite 中<｜end▁of▁sentence｜>"});
  CHECK(spoken(render_turns(family("deepseek_coder"), conversation(messages))) ==
        std::vector<std::string>{"first\n<|EOT|>", "zweite 中\n<|EOT|>"});
  // R1's history lacks the thought that its prompt opens.
  CHECK(spoken(render_turns(family("deepseek_r1"), conversation(messages))) ==
        std::vector<std::string>{"first<｜end▁of▁sentence｜>", "zweite 中<｜end▁of▁sentence｜>"});
  const auto marked = render_turns(family("generation"), conversation(messages, Json::object()));
  CHECK(marked.spans == chatml.spans);
  CHECK(spoken(render_turns(family("generation"), conversation(messages), ChatTurns::kLast)) ==
        std::vector<std::string>{"zweite 中<|im_end|>"});
}

TEST_CASE("a turn that later turns change has no span") {
  const Messages messages = {user("a"), assistant("<think>\nhm\n</think>\n\nyes"), user("b"),
                             assistant("no")};
  const ChatTemplate qwen = family("qwen3");
  const std::string reason = error_of([&] { render_turns(qwen, conversation(messages)); });
  CHECK(reason.find("qwen3: message 1 (assistant): the template renders it otherwise") == 0);
  const auto last = render_turns(qwen, conversation({messages[0], messages[1]}), ChatTurns::kLast);
  CHECK(spoken(last) == std::vector<std::string>{"<think>\nhm\n</think>\n\nyes<|im_end|>"});
  const ChatTemplate odd(
      "{% for m in messages %}{{ m.content }}{% endfor %}{{ messages|length }}"
      "{% if add_generation_prompt %}A:{% endif %}",
      "odd");
  CHECK(error_of([&] {
          render_turns(odd, conversation(messages));
        }).find("odd: message 1 (assistant): its turn does not start") == 0);
}

TEST_CASE("templates that discard reasoning are told by what they render") {
  CHECK(discards_reasoning(family("deepseek_r1"), kDeepSeek));
  CHECK(discards_reasoning(family("deepseek_r1_first"), kDeepSeek));
  CHECK(discards_reasoning(family("deepseek_v3_1"), kDeepSeek));
  CHECK_FALSE(discards_reasoning(family("deepseek_v3"), kDeepSeek));
  CHECK_FALSE(discards_reasoning(family("qwen3")));
  CHECK_FALSE(discards_reasoning(family("chatml")));
}

TEST_CASE("reasoning is split from the answer") {
  const auto parts = [](Json message) {
    const Reasoning reasoning = split_reasoning(message);
    return reasoning.thought + "|" + reasoning.answer;
  };
  CHECK(parts(assistant("<think>\na\n\nb\n</think>\n\nc\n")) == "a\n\nb|c\n");
  CHECK(parts(assistant("a</think>b</think>c")) == "a</think>b|c");
  CHECK(parts(assistant("\nplain")) == "|\nplain");
  CHECK(parts({{"content", "c"}, {"thinking", "t\n"}}) == "t|c");
  CHECK(parts({{"content", nullptr}, {"reasoning_content", "t"}}) == "t|");
  const Json content = Json::array({{{"text", "<think>x"}}, {{"text", "</think>y"}}});
  CHECK(parts({{"content", content}}) == "x|y");
}

TEST_CASE("the training form keeps and trains the chain of thought") {
  const Json deep = {{"role", "assistant"}, {"content", "two"}, {"reasoning_content", "deep"}};
  const Messages messages = {user("a"), assistant("<think>\nold\n</think>\n\nfirst"), user("b"),
                             deep};
  const auto form = [&](const char* name, size_t message, Json variables = kDeepSeek) {
    return training_form(family(name), conversation(messages, std::move(variables)), message);
  };
  const std::string eos = "<｜end▁of▁sentence｜>";
  // What is served: the thought of the earlier turn is gone.
  CHECK(form("deepseek_r1", 3) ==
        std::vector<ChatSegment>{
            {"<s><｜User｜>a<｜Assistant｜>\n\nfirst" + eos + "<｜User｜>b<｜Assistant｜><think>\n",
             false},
            {"deep\n</think>\n\ntwo" + eos, true}});
  CHECK(form("deepseek_r1", 1) ==
        std::vector<ChatSegment>{{"<s><｜User｜>a<｜Assistant｜><think>\n", false},
                                 {"old\n</think>\n\nfirst" + eos, true}});
  // The first upload of R1 leaves <think> to the model.
  CHECK(form("deepseek_r1_first", 1)[1].text == "<think>\nold\n</think>\n\nfirst" + eos);
  // V3.1 writes no line breaks at the tags, and none at all unless asked to think.
  Json thinking = kDeepSeek;
  thinking["thinking"] = true;
  CHECK(form("deepseek_v3_1", 3, thinking)[1].text == "deep</think>two" + eos);
  CHECK(form("deepseek_v3_1", 3, thinking)[0].text.ends_with("b<｜Assistant｜><think>"));
  CHECK(error_of([&] {
          form("deepseek_v3_1", 3);
        }).find("deepseek_v3_1: message 3 (assistant): it has a thought") == 0);
  // Qwen3 keeps thoughts of the last turn by itself: the form is what it renders.
  const auto qwen = form("qwen3", 3, Json::object());
  const ChatInput whole = conversation(messages, Json::object());
  CHECK(qwen[0].text + qwen[1].text + "\n" == family("qwen3").render(whole));
  CHECK(error_of([&] { form("qwen3", 2); }) == "qwen3: message 2 is not an assistant message");
}

TEST_CASE("the training form of a turn without a thought does not train skipping it") {
  const auto form = [](const char* name, const Json& last) {
    return training_form(family(name), conversation({user("a"), last}), 1);
  };
  const std::string eos = "<｜end▁of▁sentence｜>";
  CHECK(form("deepseek_r1", assistant("yes")) ==
        std::vector<ChatSegment>{{"<s><｜User｜>a<｜Assistant｜><think>\n\n</think>\n\n", false},
                                 {"yes" + eos, true}});
  CHECK(form("deepseek_llm", assistant("yes")) ==
        std::vector<ChatSegment>{{"<s>User: a\n\nAssistant:", false}, {" yes" + eos, true}});
  CHECK(form("qwen3", assistant("yes"))[1].text == "yes<|im_end|>");
  // Tool calls stand as the template writes them.
  const Json call = {{"type", "function"}, {"function", {{"name", "f"}, {"arguments", "{}"}}}};
  const Json calls = {{"role", "assistant"},
                      {"content", ""},
                      {"reasoning_content", "hm"},
                      {"tool_calls", Json::array({call})}};
  CHECK(form("deepseek_r1", calls)[1].text ==
        "hm\n</"
        "think>\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}"
        "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>" +
            eos);
}

TEST_CASE("the training form of an empty turn is empty where the prompt ends in white space") {
  const ChatTemplate chat(
      "{% for m in messages %}{% if m.content %}{{ m.role }}: {{ m.content }}{% endif %}{% endfor "
      "%}"
      "{{ '\\n\\n' }}",
      "silent");
  CHECK(training_form(chat, conversation({user("a"), assistant("")}), 1) ==
        std::vector<ChatSegment>{{"user: a\n\n", false}, {"", true}});
}

}  // namespace
}  // namespace hone::text
