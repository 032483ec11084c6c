#include <catch2/catch.hpp>

#include "data/support.h"

namespace hone::data {
namespace {

using namespace testing;
using Catch::Contains;
using Marked = std::vector<std::string>;

/// ChatML in small: turns end in <|end|> and a line break that is not trained.
const std::string kTemplate =
    "{{ bos_token }}{% for m in messages %}{{ '<|bot|>' if m.role == 'assistant' else '<|user|>' }}"
    "{{ m.content }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|bot|>{% endif %}";

/// As DeepSeek R1: the generation prompt opens a thought, and past thoughts are dropped.
const std::string kReasoning =
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}<|bot|>"
    "{{ m.content.split('</think>')[-1] }}<|end|>{% else %}<|user|>{{ m.content }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|bot|><think>\n{% endif %}";

/// As Qwen3: thoughts stay only in the last turn.
const std::string kLastThought =
    "{% for m in messages %}{% if m.role == 'assistant' %}<|bot|>"
    "{{ m.content if loop.last else m.content.split('</think>')[-1] }}<|end|>{% else %}<|user|>"
    "{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|bot|>{% endif %}";

text::TokenizerFolder folder_with(const std::string& source) {
  auto folder = make_folder({}, true);
  folder.chat_template = source;
  folder.chat_template_source = "chat_template.jinja";
  return folder;
}

std::string turns(const std::string& extra = "", const std::string& thought = "") {
  return R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": ")" +
         thought + "a\"" + extra + R"(}, {"role": "user", "content": "r"}, )" +
         R"({"role": "assistant", "content": ")" + thought + "b\"}]}";
}

Marked loaded(const std::string& source, const std::string& rows, DatasetOptions options = {}) {
  const auto folder = folder_with(source);
  return marked(load(rows, folder, std::move(options)), folder.tokenizer);
}

TEST_CASE("assistant turns are trained with their end token, and nothing else") {
  const std::string start = "<s><|user|>q<|end|>\n<|bot|>";
  CHECK(loaded(kTemplate, turns()) ==
        Marked{start + "[a<|end|>]\n<|user|>r<|end|>\n<|bot|>[b<|end|>]\n"});
  CHECK(loaded(kTemplate, turns(), {.train_on = TrainOn::kLastAssistant}) ==
        Marked{start + "a<|end|>\n<|user|>r<|end|>\n<|bot|>[b<|end|>]\n"});
  CHECK(loaded(kTemplate, turns(), {.train_on = TrainOn::kAll}) ==
        Marked{"<s>[<|user|>q<|end|>\n<|bot|>a<|end|>\n<|user|>r<|end|>\n<|bot|>b<|end|>\n]"});
}

TEST_CASE("train and weight of a message hold for its turn") {
  const std::string start = "<s><|user|>q<|end|>\n<|bot|>";
  const std::string end = "\n<|user|>r<|end|>\n<|bot|>[b<|end|>]\n";
  CHECK(loaded(kTemplate, turns(", \"train\": false")) == Marked{start + "a<|end|>" + end});
  CHECK(loaded(kTemplate, turns(", \"weight\": 0.5")) == Marked{start + "[a<|end|>*0.5]" + end});
  CHECK_THAT(failure(turns(", \"weight\": 0"), folder_with(kTemplate), {.train_on = TrainOn::kAll}),
             Contains("message 2: train, weight and untrained prompts have no effect"));
}

TEST_CASE("generation blocks of a template are its spans") {
  const std::string marked_template =
      "{% for m in messages %}{% if m.role == 'assistant' %}<|bot|>{% generation %}{{ m.content }}"
      "<|end|>{% endgeneration %}{% else %}<|user|>{{ m.content }}{% endif %}{% endfor %}";
  CHECK(loaded(marked_template, turns(", \"weight\": 2")) ==
        Marked{"<|user|>q<|bot|>[a<|end|>*2]<|user|>r<|bot|>[b<|end|>]"});
}

TEST_CASE("where a template drops thoughts, each answer is trained in the training form") {
  const std::string row = turns("", "<think>\\nt\\n</think>\\n\\n");
  const Marked both{
      "<s><|user|>q<|bot|><think>\n[t\n</think>\n\na<|end|>]",
      "<s><|user|>q<|bot|>\n\na<|end|><|user|>r<|bot|><think>\n[t\n</think>\n\nb<|end|>]"};
  CHECK(loaded(kReasoning, row) == both);
  CHECK(loaded(kReasoning, row, {.chat_form = ChatForm::kTraining}) == both);
  CHECK(loaded(kReasoning, row, {.train_on = TrainOn::kLastAssistant}) == Marked{both[1]});
  CHECK_THAT(failure(row, folder_with(kReasoning), {.train_on = TrainOn::kAll}),
             Contains("train_on all needs chat_form template"));
  // Through the template itself the thoughts are lost: nothing of them is left to train.
  const Marked through = loaded(kReasoning, row, {.chat_form = ChatForm::kTemplate});
  REQUIRE(through.size() == 1);
  CHECK_THAT(through[0], !Contains("think>") && Contains("a<|end|>]") && Contains("b<|end|>]"));
}

TEST_CASE("a template that renders earlier turns otherwise gives a document for each turn") {
  const std::string row = turns("", "<think>t</think>");
  CHECK(loaded(kLastThought, row) ==
        Marked{"<|user|>q<|bot|>[<think>t</think>a<|end|>]",
               "<|user|>q<|bot|>a<|end|><|user|>r<|bot|>[<think>t</think>b<|end|>]"});
}

TEST_CASE("other formats become the same conversations") {
  const Marked expected{"<s><|user|>q<|end|>\n<|bot|>[a<|end|>]\n"};
  CHECK(loaded(kTemplate, R"({"instruction": "q", "output": "a"})") == expected);
  CHECK(loaded(kTemplate, R"({"conversations": [{"from": "human", "value": "q"},)"
                          R"({"from": "gpt", "value": "a"}]})") == expected);
  CHECK(loaded(kTemplate, R"({"prompt": [{"role": "user", "content": "q"}],)"
                          R"("completion": [{"role": "assistant", "content": "a"}]})") == expected);
  CHECK_THAT(loaded(kTemplate, R"({"instruction": "q", "output": "a"})",
                    {.chat_form = ChatForm::kPlain})[0],
             Contains("<s>Below is an instruction") && Contains("### Response:[a</s>]"));
}

TEST_CASE("conversations that cannot be rendered are refused") {
  const auto bare = make_folder();
  const DatasetOptions skip{.on_bad_row = OnBadRow::kSkip};
  CHECK_THAT(failure(turns(), bare, skip),
             Contains("data set \"data_test_rows\": holds conversations, but the tokenizer folder "
                      "has no chat template"));
  CHECK_THAT(failure(turns(), folder_with("{% if %}"), skip),
             Contains("chat_template.jinja: line"));
  CHECK_THAT(failure(turns(), bare, {.chat_form = ChatForm::kPlain}),
             Contains("text form for Alpaca rows only"));
  for (const char* more : {R"("system": "s")", R"("history": [["q", "a"]])"}) {
    CHECK_THAT(failure(R"({"instruction": "q", "output": "a", )" + std::string(more) + "}", bare,
                       {.chat_form = ChatForm::kPlain}),
               Contains("chat_form plain cannot show a system text or a history"));
  }
  CHECK_THAT(failure(turns(), folder_with("{{ raise_exception('no') }}")),
             Contains("data_test_rows.jsonl:1: chat_template.jinja: line 1: no"));
  CHECK_THAT(failure(turns(", \"train\": false"), folder_with(kTemplate), {.max_length = 8}),
             Contains("1 have no trained token"));
}

TEST_CASE("entities are found in what is trained of a conversation only") {
  const auto folder = folder_with(kTemplate);
  const EntityMatcher matcher({"law"}, false);
  const Dataset set = load(R"({"prompt": [{"role": "user", "content": "law"}],)"
                           R"("completion": [{"role": "assistant", "content": "the law"}]})",
                           folder, {}, {.entities = &matcher, .entity_multiplier = 4});
  CHECK(marked(set, folder.tokenizer) ==
        Marked{"<s><|user|>law<|end|>\n<|bot|>[the ][law*4][<|end|>]\n"});
  CHECK(set.counts.entity_tokens == 3);
}

}  // namespace
}  // namespace hone::data
