#include "hone/text/bpe_trainer.h"

#include <catch2/catch.hpp>

#include "hone/core/random.h"
#include "text/tokenizer_fixture.h"

namespace hone::text {
namespace {

std::vector<std::string> merges_of(const Json& json) {
  std::vector<std::string> merges;
  for (const Json& merge : json["model"]["merges"]) {
    merges.push_back(merge[0].get<std::string>() + "+" + merge[1].get<std::string>());
  }
  return merges;
}

TEST_CASE("the most frequent pair is merged first, of equal ones that of the lowest ids") {
  // Words: "low" 5, "lower" 2, "newest" 6, "widest" 3 (the example of Sennrich et al., 2016).
  std::vector<std::string> texts;
  const auto add = [&](const char* word, int count) { texts.insert(texts.end(), count, word); };
  add("low", 5);
  add("lower", 2);
  add("newest", 6);
  add("widest", 3);
  const Json json = train_bpe(texts, {.vocab_size = 262, .min_frequency = 2});
  // es and st occur 9 times each, e before s; then es+t 9, lo 7, low 7, ne 6 (ids break the ties).
  CHECK(merges_of(json) == std::vector<std::string>{"e+s", "es+t", "l+o", "lo+w", "e+w", "n+ew"});
  CHECK(json["model"]["vocab"].size() == 262);
  CHECK(json["model"]["vocab"]["est"] == 257);
}

TEST_CASE("training ends when no pair is frequent enough") {
  const Json json = train_bpe({"abab", "cd"}, {.vocab_size = 1000, .min_frequency = 2});
  CHECK(merges_of(json) == std::vector<std::string>{"a+b"});
}

TEST_CASE("runs of one character") {
  const Json json = train_bpe({"aaaaa", "aaaaa"}, {.vocab_size = 259, .min_frequency = 1});
  CHECK(merges_of(json) == std::vector<std::string>{"a+a", "aa+a", "aa+aaa"});
}

TEST_CASE("the order of texts does not matter, and every text comes back") {
  std::vector<std::string> texts;
  Random random(11);
  for (int i = 0; i < 500; ++i) {
    std::string text;
    for (int k = 0; k < 20; ++k) {
      text += random.below(5) == 0 ? " " : std::string(1, static_cast<char>('a' + random.below(6)));
    }
    texts.push_back(text + " é日本🙂\n");
  }
  for (const auto& [family, name] : EnumNames<TokenizerFamily>::values) {
    CAPTURE(name);
    BpeTrainerOptions options{.vocab_size = 600, .special_tokens = {"<bos>", "<eos>"}};
    options.family = family;
    const Json json = train_bpe(texts, options);
    random.shuffle(texts);
    CHECK(train_bpe(texts, options) == json);
    const Tokenizer tokenizer = Tokenizer::from_json(json, name);
    CHECK(tokenizer.vocab_size() == 600);
    CHECK(tokenizer.token_to_id("<eos>") == 1);
    CHECK(tokenizer.special_ids() == std::vector<int64_t>{0, 1});
    size_t bytes = 0, tokens = 0, wrong = 0;
    for (const std::string& text : texts) {
      const auto ids = tokenizer.encode_ids(text, true);
      wrong += tokenizer.decode(ids, false) != text;
      bytes += text.size();
      tokens += ids.size();
    }
    CHECK(wrong == 0);
    CHECK(tokens * 2 < bytes);
  }
}

TEST_CASE("special tokens in texts are not learnt, nor spelt by merges") {
  BpeTrainerOptions options{
      .vocab_size = 300, .min_frequency = 1, .special_tokens = {"<bos>", "Ġab"}};
  std::vector<std::string> texts(10, "<bos><bos> ab ab");
  const Json json = train_bpe(texts, options);
  for (const std::string& merge : merges_of(json)) {
    CHECK(merge.find('<') == std::string::npos);
    CHECK(merge != "Ġ+ab");
    CHECK(merge != "Ġa+b");
  }
  const Tokenizer tokenizer = Tokenizer::from_json(json, "s");
  CHECK(tokenizer.decode(tokenizer.encode_ids(texts[0], false), false) == texts[0]);
}

TEST_CASE("options out of range are named") {
  const auto message = [](BpeTrainerOptions options) {
    return error_of([&] { train_bpe({"a"}, options); });
  };
  CHECK(message({.vocab_size = 256}) ==
        "train_bpe/vocab_size: must be in [257, 10000000], got 256");
  CHECK(message({.min_frequency = 0}).find("train_bpe/min_frequency: must be in [1, ") == 0);
  CHECK(message({.vocab_size = 257, .special_tokens = {"<a>", "<b>"}})
            .find("vocab_size: must be at least") != std::string::npos);
  CHECK(message({.special_tokens = {"<a>", "<a>"}}) ==
        "train_bpe/special_tokens/1: \"<a>\" is listed twice");
  CHECK(message({.special_tokens = {""}}) ==
        "train_bpe/special_tokens/0: must be text, and not empty");
  CHECK(message({.special_tokens = {"\xff"}}) ==
        "train_bpe/special_tokens/0: must be text, and not empty");
  CHECK(message({.special_tokens = {"a"}}) ==
        "train_bpe/special_tokens/0: \"a\" already is the token of a byte");
}

}  // namespace
}  // namespace hone::text
