#include "hone/data/dataset.h"

#include <catch2/catch.hpp>

#include "data/support.h"
#include "hone/core/log.h"

namespace hone::data {
namespace {

using namespace testing;
using Catch::Contains;
using Marked = std::vector<std::string>;

TEST_CASE("a text row is trained whole, with an end and no beginning of its own") {
  const auto folder = make_folder();
  const Dataset set = load("{\"text\": \"ab\"}\n\n{\"text\": \"\\u00e9</s>\", \"id\": 7}", folder);
  REQUIRE(set.examples.size() == 2);
  CHECK(set.examples[0].ids == std::vector<int64_t>{102, 103, 1});
  CHECK(set.examples[0].targets == std::vector<int64_t>{103, 1, kIgnoreIndex});
  CHECK(set.examples[0].weights == std::vector<float>{1, 1, 0});
  CHECK(set.examples[1].ids == std::vector<int64_t>{5 + 0xc3, 5 + 0xa9, 1});  // no second end
  CHECK(set.name == "data_test_rows");
  CHECK(set.counts.json().dump() ==
        R"({"rows":2,"bad_rows":0,"untrained":0,"truncated":0,"dropped":0,"split":0,)"
        R"("lost_tokens":0,"lost_calls":0,"lost_tools":0,)"
        R"("documents":2,"tokens":6,"trained":4,"entity_tokens":0})");
  CHECK(set.hash == dataset_hash(set.examples));
}

TEST_CASE("bos comes where the tokenizer adds it, and is never a target") {
  const Dataset set = load(R"({"text": "ab"})", make_folder({}, true), {}, {.domain = 3});
  CHECK(set.examples[0].ids == std::vector<int64_t>{0, 102, 103, 1});
  CHECK(set.examples[0].targets == std::vector<int64_t>{102, 103, 1, kIgnoreIndex});
  CHECK(set.examples[0].domain == 3);
}

TEST_CASE("plain text falls into paragraphs, lines or one document") {
  const auto folder = make_folder();
  const std::string text = "\xef\xbb\xbfone\r\ntwo\n \n\n\nthree";
  const auto loaded = [&](TextUnit unit) {
    return marked(load(text, folder, {.text_unit = unit}, {}, ".txt"), folder.tokenizer);
  };
  CHECK(loaded(TextUnit::kParagraph) == Marked{"o[ne\ntwo</s>]", "t[hree</s>]"});
  CHECK(loaded(TextUnit::kLine) == Marked{"o[ne</s>]", "t[wo</s>]", "t[hree</s>]"});
  CHECK(loaded(TextUnit::kFile) == Marked{"o[ne\r\ntwo\n \n\n\nthree</s>]"});
}

TEST_CASE("a .json file is an array, or holds an object a line") {
  const auto folder = make_folder();
  const auto loaded = [&](const std::string& text) {
    return marked(load(text, folder, {}, {}, ".json"), folder.tokenizer);
  };
  CHECK(loaded(" [ {\"text\": \"a]},[\\\"b\"} ,\n{\"text\":\n\"cd\"}\n]\n") ==
        Marked{"a[]},[\"b</s>]", "c[d</s>]"});
  CHECK(loaded("{\"text\": \"ab\"}\n{\"text\": \"cd\"}\n") == Marked{"a[b</s>]", "c[d</s>]"});
}

TEST_CASE("files are read in order, and no further than max_rows") {
  const auto folder = make_folder();
  const TempFile a("data_a.jsonl", "{\"text\": \"aa\"}\n{\"text\": \"ab\"}\n");
  const TempFile b("data_b.txt", "ba\n\nbb");
  DatasetOptions options{.files = {b.path(), a.path()}};
  CHECK(marked(load_dataset(options, folder), folder.tokenizer) ==
        Marked{"b[a</s>]", "b[b</s>]", "a[a</s>]", "a[b</s>]"});
  CHECK(read_texts(options) == Marked{"ba", "bb", "aa", "ab"});
  options.max_rows = 3;
  CHECK(load_dataset(options, folder).counts.rows == 3);
  CHECK(read_texts(options) == Marked{"ba", "bb", "aa"});
}

TEST_CASE("several threads give the same data set") {
  std::string text;
  for (int i = 0; i < 10'000; ++i) {
    text += "{\"text\": \"row " + std::to_string(i * i) + " of heart attack text\"}\n";
    if (i % 100 == 7) text += "{\"txt\": 1}\n";
  }
  const auto folder = make_folder({{"e", "a"}, {"r", "t"}});
  const EntityMatcher matcher({"heart attack"}, false);
  const DatasetOptions options{.on_bad_row = OnBadRow::kSkip};
  LoadContext context{.entities = &matcher, .entity_multiplier = 3};
  const Dataset one = load(text, folder, options, context);
  context.threads = 4;
  const Dataset four = load(text, folder, options, context);
  CHECK(one.hash == four.hash);
  CHECK(one.counts.json() == four.counts.json());
  CHECK(one.counts.bad_rows == 100);
  CHECK(one.counts.entity_tokens > 0);
}

TEST_CASE("documents over max_length are cut, left out, split or refused") {
  const auto folder = make_folder();
  const std::string rows = "{\"text\": \"abcdefgh\"}\n{\"text\": \"xy\"}";  // 9 and 3 tokens
  const auto loaded = [&](OnTooLong policy, int64_t length) {
    return load(rows, folder, {.max_length = length, .on_too_long = policy});
  };
  const Dataset cut = loaded(OnTooLong::kTruncate, 4);
  CHECK(marked(cut, folder.tokenizer) == Marked{"a[bcd]", "x[y</s>]"});
  CHECK(cut.counts.truncated == 1);
  const Dataset dropped = loaded(OnTooLong::kDrop, 4);
  CHECK(marked(dropped, folder.tokenizer) == Marked{"x[y</s>]"});
  CHECK(dropped.counts.dropped == 1);
  const Dataset split = loaded(OnTooLong::kSplit, 4);
  // Each target once: d and g are read again to predict what follows them.
  CHECK(marked(split, folder.tokenizer) == Marked{"a[bcd]", "d[efg]", "g[h</s>]", "x[y</s>]"});
  CHECK(split.counts.split == 1);
  CHECK(split.counts.trained == 8 + 2);
  CHECK(loaded(OnTooLong::kSplit, 9).counts.split == 0);
  CHECK(loaded(OnTooLong::kSplit, 2).counts.documents == 8 + 2);
  CHECK_THROWS_WITH(loaded(OnTooLong::kError, 8),
                    "data_test_rows.jsonl:1: has 9 tokens; max_length is 8");
  CHECK_NOTHROW(loaded(OnTooLong::kError, 9));

  CHECK(load(rows, folder, {}, {.max_length = 5}).counts.truncated == 1);
  CHECK_THAT(failure(rows, folder, {.max_length = 6}, {.max_length = 5}),
             Contains("max_length 6 is over what a batch holds, 5 tokens"));
}

TEST_CASE("what was left out or cut is reported") {
  std::vector<std::string> messages;
  set_log_sink([&](LogLevel level, std::string_view text) {
    if (level == LogLevel::kWarning) messages.emplace_back(text);
  });
  std::string rows = "{\"text\": \"abcdefgh\"}\n";
  for (int i = 0; i < 7; ++i) rows += "[]\n";
  const Dataset set = load(rows, make_folder(), {.on_bad_row = OnBadRow::kSkip, .max_length = 4});
  set_log_sink(nullptr);
  CHECK(set.counts.bad_rows == 7);
  CHECK(set.counts.rows == 8);
  REQUIRE(messages.size() == 7);
  CHECK(messages[0] == "skipped: data_test_rows.jsonl:2: expected an object, got array");
  CHECK(messages[5] == "data set \"data_test_rows\": skipped 7 bad rows in all");
  CHECK(messages[6] ==
        "data set \"data_test_rows\": documents over 4 tokens: 1 truncated; 5 of 9 "
        "tokens are lost");
}

TEST_CASE("entities weigh exactly the tokens that overlap them") {
  // " aspirin" is one token with its space; "heart" is "he" + "art"; "is" stays bytes.
  const std::string space = byte_token(' ');
  const auto folder = make_folder({{"a", "s"},
                                   {"p", "i"},
                                   {"r", "i"},
                                   {"ri", "n"},
                                   {"as", "pi"},
                                   {space, "aspi"},
                                   {space + "aspi", "rin"},
                                   {"h", "e"},
                                   {"a", "r"},
                                   {"ar", "t"}});
  const EntityMatcher matcher({"aspirin", "heart attack", "é"}, false);
  const auto loaded = [&](const std::string& text) {
    const Dataset set = load("{\"text\": \"" + text + "\"}", folder, {},
                             {.entities = &matcher, .entity_multiplier = 2.5F});
    CHECK(set.counts.entity_tokens ==
          std::count(set.examples[0].weights.begin(), set.examples[0].weights.end(), 2.5F));
    return marked(set.examples[0], folder.tokenizer);
  };
  CHECK(loaded("an aspirin is") == "a[n][ aspirin*2.5][ is</s>]");
  CHECK(loaded("a aspirins") == "a[ aspirins</s>]");
  CHECK(loaded("the heart attack, not heart") == "t[he ][heart attack*2.5][, not heart</s>]");
  CHECK(loaded("x é") == "x[ ][é*2.5][</s>]");
  CHECK(loaded("aspirin") == "aspi[rin*2.5][</s>]");  // the first token is no target
}

TEST_CASE("nothing to train on is an error before training") {
  const auto folder = make_folder();
  CHECK(failure("", folder) ==
        "data set \"data_test_rows\": nothing is left to train on: of 0 rows 0 are bad, 0 have no "
        "trained token, 0 are too long");
  CHECK_THAT(failure("{\"text\": \"\"}\n", folder), Contains("1 have no trained token"));
  CHECK_THAT(failure("[]", folder, {}, {}, ".json"), Contains("of 0 rows"));
  CHECK_THAT(failure("\n\n", folder, {}, {}, ".txt"), Contains("of 0 rows"));
  CHECK_THAT(failure("[]\n{}", folder, {.on_bad_row = OnBadRow::kSkip}), Contains("2 are bad"));
  CHECK_THAT(
      failure("{\"text\": \"abc\"}", folder, {.max_length = 2, .on_too_long = OnTooLong::kDrop}),
      Contains("1 are too long"));
  const TempFile tokens("data_t.jsonl", R"({"input_ids": [5]})");
  CHECK_THROWS_AS(read_texts({.files = {tokens.path()}}), DataError);
}

TEST_CASE("a tokenizer without an end is refused for texts") {
  auto folder = make_folder();
  folder.eos_id.reset();
  CHECK_THAT(failure("{\"text\": \"ab\"}", folder, {.on_bad_row = OnBadRow::kSkip}),
             Contains("data set \"data_test_rows\": the tokenizer has no eos token"));
}

TEST_CASE("the hash depends on ids, targets, weights and order") {
  const std::vector<Example> base{{{1, 2}, {2, -100}, {1, 0}, 0}, {{3, 4}, {4, -100}, {1, 0}, 0}};
  const auto differs = [&](auto change) {
    auto other = base;
    change(other);
    return dataset_hash(other) != dataset_hash(base);
  };
  CHECK(dataset_hash(base).size() == 32);
  CHECK_FALSE(differs([](auto&) {}));
  CHECK(differs([](auto& e) { e[0].ids[0] = 9; }));
  CHECK(differs([](auto& e) { e[0].targets[0] = -100; }));
  CHECK(differs([](auto& e) { e[1].weights[0] = 2; }));
  CHECK(differs([](auto& e) { std::swap(e[0], e[1]); }));
  CHECK(differs([](auto& e) { e.pop_back(); }));
}

TEST_CASE("domains keep the order of their first set") {
  CHECK(domain_names({{.domain = "law"}, {.domain = "general"}, {.domain = "law"}}) ==
        Marked{"law", "general"});
}

}  // namespace
}  // namespace hone::data
