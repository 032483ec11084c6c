#include "hone/infer/speaker.h"

#include "hone/text/bpe_trainer.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::infer;
using Catch::Contains;

namespace {

text::TokenizerFolder folder(const char* chat_template = nullptr) {
  text::BpeTrainerOptions options{.vocab_size = 300,
                                  .special_tokens = {"<bos>", "<eos>", "<|end|>", "<|user|>"}};
  text::TokenizerFolder folder{
      text::Tokenizer::from_json(text::train_bpe({"one two three"}, options), "t")};
  folder.bos_token = "<bos>";
  folder.eos_token = "<eos>";
  folder.bos_id = 0;
  folder.eos_id = 1;
  if (chat_template) folder.chat_template = chat_template;
  return folder;
}

constexpr const char* kTemplate =
    "{% for m in messages %}<|user|>{{ m.role }} {{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|user|>assistant {% endif %}";

}  // namespace

TEST_CASE(
    "A speaker without a template goes on with the text, after bos where texts begin with it") {
  text::TokenizerFolder plain = folder();
  const Json messages = infer::one_turn("two", std::nullopt);
  const infer::Speaker speaker(plain, {7});
  CHECK_FALSE(speaker.has_template());
  CHECK(speaker.stop_ids() == std::vector<int64_t>{7, 1});
  const auto ids = plain.tokenizer.encode_ids("two", false);
  CHECK(speaker.ids(messages) == ids);
  plain.add_bos = true;
  auto with_bos = ids;
  with_bos.insert(with_bos.begin(), 0);
  CHECK(infer::Speaker(plain, {}).ids(messages) == with_bos);
  CHECK_THROWS_WITH(speaker.ids(infer::one_turn("two", "be kind")),
                    Contains("needs a chat template"));
  CHECK_THROWS_WITH(speaker.ids(infer::one_turn("\xff", std::nullopt)), Contains("not UTF-8"));
}

TEST_CASE("A speaker renders the template with its generation prompt and stops where turns end") {
  const text::TokenizerFolder chat = folder(kTemplate);
  const infer::Speaker speaker(chat, {1});
  CHECK(speaker.stop_ids() == std::vector<int64_t>{1, 2});  // <|end|> ends a turn
  CHECK(chat.tokenizer.decode(speaker.ids(infer::one_turn("two", "one")), false) ==
        "<|user|>system one<|end|>\n<|user|>user two<|end|>\n<|user|>assistant ");
  CHECK_THROWS(infer::Speaker(folder("{% for %}"), {}));
}
