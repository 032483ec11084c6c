#include "hone/data/augmentation.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <set>
#include <thread>

#include "data/augmentation_fixture.h"
#include "hone/config/reader.h"
#include "hone/data/detail/document.h"
#include "hone/data/detail/masking.h"
#include "hone/data/detail/words.h"

namespace hone::data {
namespace {

using Catch::Contains;
using testing::load_text;
using testing::make_folder;
using testing::read;
using testing::same;
using testing::text_row;
using testing::variant;
using testing::WordNetFolder;

/// Options of a kind, from a recipe's lines.
AugmentationOptions options_of(const std::string& json) {
  return config::read_config<AugmentationOptions>(parse_json(json, "recipe"));
}

AugmentationOptions everything(double synonyms, double masks) {
  AugmentationOptions options;
  options.synonyms = {.rate = synonyms, .wordnet = "wordnet_test"};
  options.word_dropout.rate = masks;
  options.span_masking.rate = masks;
  return options;
}

/// Whether the parts stand in the text in this order.
bool holds(const std::string& text, const std::vector<std::string>& parts) {
  size_t at = 0;
  for (const std::string& part : parts) {
    at = text.find(part, at);
    if (at == std::string::npos) return false;
    at += part.size();
  }
  return true;
}

std::vector<std::string> words_of(const std::string& text, const std::vector<Span>& entities = {}) {
  const auto scan = detail::scan_words(text, {{0, static_cast<int64_t>(text.size())}}, entities);
  std::vector<std::string> words;
  for (const auto& [span, unspaced] : scan.words) {
    words.push_back(text.substr(span.begin, span.end - span.begin));
  }
  return words;
}

// ---- words -------------------------------------------------------------------------------------

TEST_CASE("words are what is neither code, number, address, identifier, markup nor entity") {
  using Words = std::vector<std::string>;
  CHECK(words_of("It's a well-known dog, \"Rex\"!") ==
        Words{"It's", "a", "well-known", "dog", "Rex"});
  CHECK(words_of("see https://a.b/c or www.x.org, a.txt, me@x.y and/or snake_case camelCase") ==
        Words{"see", "or"});
  CHECK(words_of("3 mg, 1.5, x2 and ٣ of $x$ <b>bold</b> f(x) a::b #tag **strong** e.g. U.S.") ==
        Words{"mg", "and", "of"});
  CHECK(words_of("run `make it so` or ``a ` b`` now, ` stray") ==
        Words{"run", "or", "now", "stray"});
  CHECK(words_of("before\n```py\nthe code\n```\nafter\n    indented code\n\tand tabbed\nend") ==
        Words{"before", "after", "end"});
  CHECK(words_of("before\n~~~\nnever closed") == Words{"before"});
  CHECK(words_of("the big dog", {{4, 7}}) == Words{"the", "dog"});
  CHECK(words_of("naïve café 心臓の病 право") == Words{"naïve", "café", "心臓の病", "право"});
  CHECK(words_of("3月に heart発作") == Words{"月に", "heart", "発作"});
  CHECK(words_of("").empty());
  CHECK(words_of("a\xff"
                 "b dog") == Words{"dog"});
}

TEST_CASE("a word's tokens are its own, with the space before it") {
  using Ranges = std::vector<std::pair<size_t, size_t>>;
  const auto ranges = [](const std::string& text, const detail::Tokens& tokens) {
    const auto scan = detail::scan_words(text, {{0, static_cast<int64_t>(text.size())}}, {});
    Ranges found;
    for (const auto& [begin, end] : detail::token_ranges(scan.words, tokens, text)) {
      found.emplace_back(begin, end);
    }
    return found;
  };
  const std::string text = "a dog, \u5fc3\u81d3";  // tokens a| d|o|g|,| |3 bytes|3 bytes
  CHECK(ranges(text, detail::tokenise({.text = text}, make_folder({{"\u0120", "d"}}))) ==
        Ranges{{0, 1}, {1, 4}, {6, 9}, {9, 12}});
  // The first dog shares "g," with the comma.
  const detail::Tokens shared{{1, 2, 3, 4}, {0, 0, 0, 0}, {}, {{0, 2}, {2, 4}, {4, 8}, {8, 9}}};
  CHECK(ranges("dog, dog.", shared) == Ranges{{2, 3}});
}

TEST_CASE("spans have the share and the lengths asked for") {
  Random random(5);
  constexpr int kRounds = 400;
  constexpr size_t kWords = 203;
  double masked = 0, spans = 0;
  for (int round = 0; round < kRounds; ++round) {
    const auto chosen = detail::choose_spans(kWords, 0.1, 3, 10, random);
    const auto count = std::count(chosen.begin(), chosen.end(), true);
    REQUIRE((count == 20 || count == 21));
    masked += static_cast<double>(count);
    for (size_t i = 0; i < kWords; ++i) spans += chosen[i] && (i == 0 || !chosen[i - 1]);
  }
  // 20.3 words a round; the rounding's standard error is sqrt(0.21 / 400) = 0.023.
  CHECK(masked / kRounds == Approx(20.3).margin(0.12));
  // Geometric with mean 3 and at most 10: 2.95; neighbours that touch count as one, the last is
  // cut.
  CHECK(masked / spans > 2.6);
  CHECK(masked / spans < 3.4);
  CHECK(detail::choose_spans(0, 0.5, 3, 10, random).empty());
  for (size_t count = 1; count < 20; ++count) {
    const auto chosen = detail::choose_spans(count, 0.5, 3, 10, random);
    CHECK(static_cast<size_t>(std::count(chosen.begin(), chosen.end(), true)) <= (count + 1) / 2);
  }
}

// ---- variants ----------------------------------------------------------------------------------

TEST_CASE("synonyms change a text's inputs and targets together, at the rate asked for") {
  const auto folder = make_folder({}, true);
  const WordNetFolder wordnet(testing::kSynonyms);
  const auto set =
      load_text(text_row("Happy dogs on a big road; Happy ones, a happy one."), folder);
  const Example& example = set->examples[0];
  const Augmenter augmenter(everything(0.3, 0), folder, {set}, 1);
  std::set<std::string> seen;
  constexpr int kDraws = 3000;
  int first = 0, road = 0;
  for (int64_t epoch = 0; epoch < kDraws; ++epoch) {
    const Example drawn = variant(augmenter, example, epoch);
    const std::string text = read(drawn, folder);
    seen.insert(text);
    first += !text.starts_with("<s>Happy ");
    road += text.find(" road") == std::string::npos;
    REQUIRE(holds(text, {" dogs on a ", "; Happy ones, a ", " one.</s>"}));  // no sentence begins
    for (size_t i = 0; i + 1 < drawn.ids.size(); ++i) REQUIRE(drawn.targets[i] == drawn.ids[i + 1]);
    REQUIRE(drawn.targets.back() == kIgnoreIndex);
  }
  CHECK(seen.size() == 3 * 2 * 2 * 3);
  CHECK(seen.contains("<s>Glad dogs on a sizeable route; Happy ones, a joyful one.</s>"));
  const double error = std::sqrt(0.3 * 0.7 / kDraws);
  CHECK(static_cast<double>(first) / kDraws == Approx(0.3).margin(4 * error));
  CHECK(static_cast<double>(road) / kDraws == Approx(0.3).margin(4 * error));
}

TEST_CASE("after an article only what begins likewise") {
  const auto folder = make_folder();
  const WordNetFolder wordnet({{'a', {"great", "awesome", "grand"}}});
  const auto set = load_text(text_row("a great dog; great dog"), folder);
  const Augmenter augmenter(everything(1, 0), folder, {set}, 1);
  std::set<std::string> seen;
  for (int64_t epoch = 0; epoch < 50; ++epoch) {
    seen.insert(read(variant(augmenter, set->examples[0], epoch), folder));
  }
  CHECK(seen ==
        std::set<std::string>{"a grand dog; awesome dog</s>", "a grand dog; grand dog</s>"});
}

TEST_CASE("masks hide inputs of a text and keep every target, at the rates asked for") {
  const auto folder = make_folder({}, true);
  std::string text;
  for (int i = 0; i < 40; ++i) text += "dog ";
  const auto set = load_text(text_row(text + "5 dogs"), folder);
  const Example& example = set->examples[0];
  for (const char* json :
       {R"({"word_dropout": {"rate": 0.2}})", R"({"span_masking": {"rate": 0.2}})"}) {
    INFO(json);
    const Augmenter augmenter(options_of(json), folder, {set}, 2);
    constexpr int kDraws = 500;
    int hidden = 0;
    for (int64_t epoch = 0; epoch < kDraws; ++epoch) {
      const Example drawn = variant(augmenter, example, epoch);
      REQUIRE(drawn.targets == example.targets);
      REQUIRE(drawn.weights == example.weights);
      for (size_t i = 0; i < drawn.ids.size(); ++i) {
        if (drawn.ids[i] == example.ids[i]) continue;
        REQUIRE(drawn.ids[i] == *folder.eos_id);
        hidden += read(example, folder)[2 + i] == 'd';  // "<s>" is one token
      }
    }
    const double words = 41.0 * kDraws;
    CHECK(hidden / words == Approx(0.2).margin(4 * std::sqrt(0.16 / words)));
  }
}

TEST_CASE("a mask token: the one named, else pad, else eos") {
  auto folder = make_folder();
  const auto set = load_text(text_row("dog dog dog dog"), folder);
  const auto shown = [&](const std::string& json) {
    const Augmenter augmenter(options_of(json), folder, {set}, 2);
    std::string text;
    for (int64_t epoch = 0; epoch < 9; ++epoch) {
      text += read(variant(augmenter, set->examples[0], epoch), folder) + " ";
    }
    return text;
  };
  const std::string plain = R"({"word_dropout": {"rate": 0.5}})";
  CHECK_THAT(shown(R"({"word_dropout": {"rate": 0.5}, "mask_token": "<|end|>"})"),
             Contains("<|end|>"));
  folder.pad_id = 4;
  CHECK_THAT(shown(plain), Contains("<|bot|>"));
  folder.pad_id.reset();
  CHECK_THAT(shown(plain), Contains("</s></s>"));
  folder.eos_id.reset();
  CHECK_THROWS_WITH(shown(plain), Contains("name a mask_token"));
  CHECK_THROWS_WITH(shown(R"({"word_dropout": {"rate": 0.5}, "mask_token": "<m>"})"),
                    Contains("no token \"<m>\" for mask_token"));
}

TEST_CASE("what is protected is never touched, over thousands of draws of every kind") {
  const auto folder = make_folder({{"h", "a"}, {"\u0120", "b"}});
  const WordNetFolder wordnet(testing::kSynonyms);
  const EntityMatcher entities({"happy hour", "aspirin"}, true);
  const std::string code = "```\nhappy = big(road)\n```\n";
  const auto set = load_text(
      text_row("Take aspirin quickly, 75 mg happy doses at happy hour on big_road or bigRoad; "
               "`happy big road` and https://road.big/happy then\n" +
               code + "    happy big road\nbig happy road."),
      folder, {}, {.entities = &entities, .entity_multiplier = 3});
  const Augmenter augmenter(everything(0.9, 0.5), folder, {set}, 3);
  std::set<std::string> seen;
  for (int64_t epoch = 0; epoch < 4000; ++epoch) {
    const Example drawn = variant(augmenter, set->examples[0], epoch);
    const std::string text = read(drawn, folder);
    seen.insert(text);
    REQUIRE(
        holds(text, {"aspirin", ", 75", "happy hour", "big_road", "bigRoad;", "`happy big road`",
                     "https://road.big/happy", code + "    happy big road\n", "."}));
    std::string weighted;
    for (size_t i = 0; i < drawn.targets.size(); ++i) {
      if (drawn.weights[i] == 3) weighted += folder.tokenizer.decode({drawn.targets[i]}, false);
    }
    REQUIRE(weighted == "aspirinhappy hour");
  }
  CHECK(seen.size() > 2000);
}

TEST_CASE("only a prompt changes; what is trained stays token for token") {
  const auto folder = make_folder({{"h", "a"}, {"\u0120", "h"}}, true);
  const WordNetFolder wordnet(testing::kSynonyms);
  const auto set = load_text(
      Json{{"prompt", "A happy dog on a big road is"}, {"completion", " a happy dog quickly"}}
          .dump(),
      folder);
  const Example& example = set->examples[0];
  const auto targets = [](const Example& of) {
    std::vector<int64_t> trained;
    for (const int64_t target : of.targets)
      if (target != kIgnoreIndex) trained.push_back(target);
    return trained;
  };
  const Augmenter augmenter(everything(0.5, 0.4), folder, {set}, 4);
  std::set<std::string> prompts;
  for (int64_t epoch = 0; epoch < 2000; ++epoch) {
    const Example drawn = variant(augmenter, example, epoch);
    REQUIRE(targets(drawn) == targets(example));
    const std::string text = read(drawn, folder);
    REQUIRE(text.ends_with(" a happy dog quickly</s>"));
    prompts.insert(text);
  }
  CHECK(prompts.size() > 100);
}

TEST_CASE("of a conversation only what user and system wrote changes, of Alpaca only the fields") {
  auto folder = make_folder({}, true);
  folder.chat_template =
      "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %}<|bot|>big road: "
      "{{ m['content'] }}<|end|>{% else %}<|user|>big road: {{ m['content'] }}<|end|>{% endif %}"
      "{% endfor %}{% if add_generation_prompt %}<|bot|>big road: {% endif %}";
  folder.chat_template_source = "t";
  const WordNetFolder wordnet(testing::kSynonyms);
  const Json chat = Json::parse(R"({"messages": [{"role": "user", "content": "a happy road"},
    {"role": "assistant", "content": "a happy road"}, {"role": "user", "content": "happy"},
    {"role": "assistant", "content": "big road"}]})");
  const auto set = load_text(chat.dump(), folder);
  const Augmenter augmenter(everything(0.8, 0), folder, {set}, 5);
  std::set<std::string> seen;
  for (int64_t epoch = 0; epoch < 300; ++epoch) {
    const std::string text = read(variant(augmenter, set->examples[0], epoch), folder);
    REQUIRE(text.starts_with("<s><|user|>big road: a "));
    REQUIRE(
        text.ends_with("<|end|><|bot|>big road: a happy road<|end|><|user|>big road: happy"
                       "<|end|><|bot|>big road: big road<|end|>"));
    seen.insert(text);
  }
  CHECK(seen.size() == 6);

  DatasetOptions plain;
  plain.chat_form = ChatForm::kPlain;
  const auto alpaca =
      load_text(R"({"instruction": "Describe the happy task", "input": "a road", "output": "big"})",
                folder, plain);
  const Augmenter other(everything(0.3, 0.5), folder, {alpaca}, 5);
  for (int64_t epoch = 0; epoch < 500; ++epoch) {
    const std::string text = read(variant(other, alpaca->examples[0], epoch), folder);
    REQUIRE(text.starts_with("<s>Below is an instruction that describes a task, paired with"));
    REQUIRE(holds(text, {"### Instruction:\n", "### Input:\n", "\n\n### Response:big</s>"}));
  }
}

TEST_CASE("truncated and split documents have variants that fit, tokens have none") {
  const auto folder = make_folder({{"h", "a"}, {"\u0120", "r"}}, true);
  const WordNetFolder wordnet({{'n', {"road", "thoroughfare"}}, {'a', {"big", "bit"}}});
  const std::string rows = text_row("a big road is a big road is a big road is a big");
  for (const OnTooLong policy : {OnTooLong::kTruncate, OnTooLong::kSplit}) {
    DatasetOptions options;
    options.max_length = 20;
    options.on_too_long = policy;
    const auto set = load_text(rows, folder, options);
    REQUIRE(set->examples.size() == (policy == OnTooLong::kSplit ? 3 : 1));
    const Augmenter augmenter(everything(0.5, 0.2), folder, {set}, 6);
    for (const Example& example : set->examples) {
      REQUIRE(example.source);
      bool changed = false;
      for (int64_t epoch = 0; epoch < 100; ++epoch) {
        const Example drawn = variant(augmenter, example, epoch);
        REQUIRE(drawn.length() <= 20);
        changed = changed || !same(drawn, example);
      }
      CHECK(changed);
    }
  }
  const auto plain = load_text(rows, folder);
  const Augmenter augmenter(everything(1, 0), folder, {plain}, 6);
  const Example& example = plain->examples[0];
  CHECK(augmenter.variant(example, {}, 1, 1000)->length() > example.length());
  CHECK_FALSE(augmenter.variant(example, {}, 1, example.length()));  // would be too long

  std::string said;
  set_log_sink([&](LogLevel, std::string_view message) { said += message; });
  const auto tokens = load_text(R"({"input_ids": [5, 6, 7]})", folder);
  CHECK_THROWS_WITH(Augmenter(everything(1, 0), folder, {tokens}, 6), Contains("not as tokens"));
  Augmenter both(everything(1, 0), folder, {tokens, plain}, 6);
  set_log_sink({});
  CHECK_THAT(said, Contains("leaves 1 of 1 documents as they are"));
  CHECK_FALSE(both.variant(tokens->examples[0], {}, 1, 1000));
}

TEST_CASE("a variant hangs on seed, set, document, epoch and rate alone") {
  const auto folder = make_folder();
  const WordNetFolder wordnet(testing::kSynonyms);
  const auto set = load_text(text_row("a happy big road quickly, a happy big road"), folder);
  const Example& example = set->examples[0];
  const Augmenter a(everything(0.3, 0.3), folder, {set}, 7),
      b(everything(0.3, 0.3), folder, {set}, 7), c(everything(0.3, 0.3), folder, {set}, 8);
  CHECK(a.fingerprint() == b.fingerprint());
  CHECK(a.fingerprint() != c.fingerprint());
  CHECK(a.fingerprint() != Augmenter(everything(0.3, 0.2), folder, {set}, 7).fingerprint());
  const auto draw = [&](const Augmenter& from, Draw at, double rate = 1) {
    return from.variant(example, at, rate, 1000).value_or(example);
  };
  std::vector<Example> serial(64), threaded(64);
  for (int64_t i = 0; i < 64; ++i) serial[i] = draw(a, {.epoch = i});
  std::vector<std::thread> threads;
  for (int64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t i = 63 - t; i >= 0; i -= 4) threaded[i] = draw(b, {.epoch = i});
    });
  }
  for (std::thread& thread : threads) thread.join();
  int other_seed = 0, other_set = 0, other_document = 0, other_epoch = 0, untouched = 0;
  for (int64_t i = 0; i < 64; ++i) {
    REQUIRE(same(serial[i], threaded[i]));
    other_seed += !same(serial[i], draw(c, {.epoch = i}));
    other_set += !same(serial[i], draw(a, {.set = 1, .epoch = i}));
    other_document += !same(serial[i], draw(a, {.document = 1, .epoch = i}));
    other_epoch += !same(serial[i], draw(a, {.epoch = i + 64}));
    const Example half = draw(a, {.epoch = i}, 0.5);
    untouched += same(half, example);
    REQUIRE((same(half, example) || same(half, serial[i])));  // the rate only picks documents
    REQUIRE_FALSE(a.variant(example, {.epoch = i}, 0, 1000));
  }
  for (const int count : {other_seed, other_set, other_document, other_epoch}) CHECK(count > 50);
  CHECK(untouched > 16);
  CHECK(untouched < 48);
}

TEST_CASE("text is kept only where it is asked for, and examples are the same") {
  const auto folder = make_folder({{"h", "a"}}, true);
  const std::string rows =
      text_row("a happy road") + Json{{"prompt", "Q"}, {"completion", " A"}}.dump();
  const Dataset plain = testing::load(rows, folder);
  const auto kept = load_text(rows, folder);
  CHECK(plain.hash == kept->hash);
  for (size_t i = 0; i < 2; ++i) {
    CHECK_FALSE(plain.examples[i].source);
    CHECK(kept->examples[i].source);
  }
  const auto shared = std::make_shared<const Dataset>(plain);
  CHECK_THROWS_WITH(
      Augmenter(options_of(R"({"word_dropout": {"rate": 0.1}})"), folder, {shared}, 1),
      Contains("keep_text"));
  CHECK_THROWS_WITH(
      Augmenter(options_of(R"({"word_dropout": {"rate": 0.1}})"), make_folder(), {kept}, 1),
      Contains("another tokenizer"));
  CHECK_THROWS_WITH(Augmenter({}, folder, {kept}, 1), Contains("rate 0"));
}

TEST_CASE("options that make no sense are named by key") {
  const auto problems = [](const std::string& json) -> std::string {
    try {
      options_of(json);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(problems("{}").empty());
  CHECK_FALSE(options_of("{}").any());
  CHECK(options_of(R"({"synonyms": {"rate": 0.1}})").any());
  CHECK_THAT(problems(R"({"rate": 0.5})"), Contains("/rate: has no effect"));
  CHECK_THAT(problems(R"({"synonyms": {"wordnet": "x"}})"),
             Contains("/synonyms/wordnet: has no effect"));
  CHECK_THAT(problems(R"({"word_dropout": {"rate": 0.6}})"), Contains("/word_dropout/rate"));
  CHECK_THAT(problems(R"({"span_masking": {"rate": 0.1, "mean_words": 0}})"),
             Contains("mean_words"));
  CHECK_THAT(problems(R"({"synonyms": {"rate": 0.1}, "mask_token": "x"})"),
             Contains("/mask_token: has no effect"));
  const std::string bare = problems(R"({"back_translation": {"rate": 0.1}})");
  CHECK_THAT(bare, Contains("/back_translation/command: must name a program"));
  CHECK_THAT(bare, Contains("/back_translation/cache: must name a file"));
}

}  // namespace
}  // namespace hone::data
