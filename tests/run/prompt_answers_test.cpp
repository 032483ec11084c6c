#include "hone/run/prompt_answers.h"

#include <torch/types.h>

#include <filesystem>

#include "hone/core/error.h"
#include "hone/infer/generate.h"
#include "hone/io/json_lines.h"
#include "recipe_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::run;

namespace {

/// A small model with its tokenizer.
struct Talker : test::RecipeFolder {
  Config recipe = config();
  RunTokenizer tokenizer = make_tokenizer(recipe);
  Base base = load_base(recipe, tokenizer.text, {});

  std::vector<Json> rows() const { return io::read_json_lines(file("answers.jsonl")); }
};

}  // namespace

TEST_CASE("Every prompt is answered, the same model alike, and the generator is left alone") {
  Talker talker;
  PromptAnswers answers({.texts = {"the court", "a plaintiff"}, .max_new_tokens = 3}, talker.path);
  CHECK(answers.any());
  torch::manual_seed(1);
  const at::Tensor next = torch::rand({3});
  torch::manual_seed(1);
  answers.ask(talker.base.decoder, talker.tokenizer.text, {}, 0);
  CHECK(torch::equal(torch::rand({3}), next));
  answers.ask(talker.base.decoder, talker.tokenizer.text, {}, 5);
  const auto rows = talker.rows();
  REQUIRE(rows.size() == 4);
  CHECK(rows[0].at("prompt") == "the court");
  CHECK(rows[1].at("prompt") == "a plaintiff");
  CHECK(rows[1].at("step") == 0);
  CHECK(rows[2].at("step") == 5);
  CHECK(rows[2].at("answer") == rows[0].at("answer"));
  CHECK(rows[0].at("finish") == "length");
}

TEST_CASE("Rows that a killed run left of a step and later ones are replaced") {
  Talker talker;
  PromptAnswers answers({.texts = {"the court"}, .max_new_tokens = 1}, talker.path);
  for (const int64_t step : {0, 4, 5, 10, 5}) {
    answers.ask(talker.base.decoder, talker.tokenizer.text, {}, step);
  }
  std::vector<int64_t> steps;
  for (const Json& row : talker.rows()) steps.push_back(row.at("step"));
  CHECK(steps == std::vector<int64_t>{0, 4, 5});
}

TEST_CASE("The report has the first and the last answer of each prompt") {
  const test::RecipeFolder folder;
  const PromptAnswers answers({.texts = {"p", "q"}}, folder.path);
  CHECK(answers.report().is_null());  // nothing was asked yet
  io::JsonLines lines(folder.file("answers.jsonl"));
  CHECK(answers.report().is_null());
  const auto write = [&](int64_t step, const char* prompt, const char* answer) {
    lines.write({{"step", step}, {"prompt", prompt}, {"answer", answer}, {"finish", "length"}});
  };
  write(0, "p", "a");
  write(0, "q", "b");
  CHECK(answers.report()[1] == Json{{"prompt", "q"}, {"before", "b"}, {"after", "b"}, {"step", 0}});
  write(4, "p", "c");
  write(4, "q", "d");
  write(8, "p", "e");
  write(8, "q", "f");
  CHECK(answers.report() == Json{{{"prompt", "p"}, {"before", "a"}, {"after", "e"}, {"step", 8}},
                                 {{"prompt", "q"}, {"before", "b"}, {"after", "f"}, {"step", 8}}});
  CHECK(PromptAnswers({}, folder.path).report().is_null());
}

TEST_CASE("A file cut short before all were answered is reported as far as it goes") {
  const test::RecipeFolder folder;
  io::JsonLines(folder.file("answers.jsonl"))
      .write({{"step", 0}, {"prompt", "p"}, {"answer", "a"}, {"finish", "length"}});
  CHECK(PromptAnswers({.texts = {"p", "q"}}, folder.path).report() ==
        Json{{{"prompt", "p"}, {"before", "a"}, {"after", "a"}, {"step", 0}}});
}

TEST_CASE("Without prompts nothing is asked or written") {
  Talker talker;
  PromptAnswers none({}, talker.path);
  CHECK_FALSE(none.any());
  none.ask(talker.base.decoder, talker.tokenizer.text, {}, 0);
  CHECK_FALSE(std::filesystem::exists(talker.file("answers.jsonl")));
}

TEST_CASE("A system turn needs a chat template") {
  Talker talker;
  PromptAnswers answers({.texts = {"the court"}, .system = "be brief"}, talker.path);
  CHECK_THROWS_AS(answers.ask(talker.base.decoder, talker.tokenizer.text, {}, 0), Error);
}

TEST_CASE("Answering takes the keys and values of its longest prompt, as many as go at once") {
  const Talker talker;
  const model::DecoderConfig& config = talker.base.decoder->config();
  const auto bytes = [&](std::vector<std::string> texts, int64_t tokens) {
    return prompt_bytes({.texts = std::move(texts), .max_new_tokens = tokens}, config,
                        talker.tokenizer.text, at::kFloat);
  };
  CHECK(bytes({}, 100) == 0);
  // Two layers of keys and values, each 2 heads x 8 numbers of 4 bytes.
  const int64_t position = 2 * 2 * 16 * 4;
  const auto longest = std::ssize(
      infer::Speaker(talker.tokenizer.text, {}).ids(infer::one_turn("the court hears", {})));
  CHECK(bytes({"the court hears"}, 10) == (longest + 10) * position);
  CHECK(bytes({"a", "the court hears", "b"}, 10) == 3 * (longest + 10) * position);
  const int64_t most = infer::GenerateOptions{}.max_batch;
  CHECK(bytes(std::vector<std::string>(static_cast<size_t>(most + 5), "the court hears"), 10) ==
        most * (longest + 10) * position);
}
