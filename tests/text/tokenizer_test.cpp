#include "hone/text/tokenizer.h"

#include <catch2/catch.hpp>
#include <thread>

#include "hone/text/detail/pre_tokenizer.h"
#include "hone/unicode/unicode.h"
#include "text/tokenizer_fixture.h"

namespace hone::text {
namespace {

using Ids = std::vector<int64_t>;

std::vector<std::string> pieces_of(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<std::string> pieces;
  for (const auto& [begin, end] : tokenizer.pieces(text)) {
    pieces.push_back(text.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
  }
  return pieces;
}

TEST_CASE("merges go by rank, leftmost first") {
  const Tokenizer tokenizer = small();
  CHECK(tokenizer.encode_ids("abcab", false) == Ids{4, 3});
  CHECK(tokenizer.encode_ids("bca", false) == Ids{1, 2, 0});
  CHECK(tokenizer.encode_ids("", false).empty());
  CHECK(tokenizer.decode({4, 6, 3}, false) == "abc <s> ab");
  CHECK(tokenizer.decode({4, 6, 3}, true) == "abc ab");
}

TEST_CASE("an unknown character is dropped without unk_token, else unknown, fused if asked") {
  Json json = small_json();
  CHECK(Tokenizer::from_json(json, "s").encode_ids("a?c", false) == Ids{0, 2});
  json["model"]["vocab"]["?"] = 6;
  json["added_tokens"][0]["id"] = 7;
  json["model"]["unk_token"] = "?";
  CHECK(Tokenizer::from_json(json, "s").encode_ids("axyb", false) == Ids{0, 6, 6, 1});
  json["model"]["fuse_unk"] = true;
  const Encoding fused = Tokenizer::from_json(json, "s").encode("aéyb", false);
  CHECK(fused.ids == Ids{0, 6, 1});
  CHECK(fused.offsets == std::vector<Offset>{{0, 1}, {1, 4}, {4, 5}});
  json["model"]["unk_token"] = "nowhere";
  const Tokenizer broken = Tokenizer::from_json(json, "s");
  CHECK(broken.encode_ids("ab", false) == Ids{3});
  CHECK(error_of([&] {
          broken.encode_ids("x", false);
        }).find("\"nowhere\" is not in the vocabulary") != std::string::npos);
}

TEST_CASE("byte_fallback writes a character that is no token as its bytes") {
  Json json = small_json();
  json["model"]["byte_fallback"] = true;
  json["model"]["vocab"]["<0xC3>"] = 6;
  json["model"]["vocab"]["<0xA9>"] = 7;
  json["added_tokens"][0]["id"] = 8;
  json["decoder"] = {{"type", "Sequence"},
                     {"decoders", {{{"type", "ByteFallback"}}, {{"type", "Fuse"}}}}};
  const Tokenizer tokenizer = Tokenizer::from_json(json, "s");
  const Encoding encoding = tokenizer.encode("aé", false);
  CHECK(encoding.ids == Ids{0, 6, 7});
  CHECK(tokenizer.decode(encoding.ids, false) == "aé");
  CHECK(tokenizer.decode({6, 0}, false) ==
        "\uFFFD"
        "a");
}

TEST_CASE("ignore_merges takes a piece that is a token whole") {
  Json json = small_json();
  json["model"]["vocab"]["ca"] = 6;
  json["added_tokens"][0]["id"] = 7;
  CHECK(Tokenizer::from_json(json, "s").encode_ids("ca", false) == Ids{2, 0});
  json["model"]["ignore_merges"] = true;
  CHECK(Tokenizer::from_json(json, "s").encode_ids("ca", false) == Ids{6});
  CHECK(Tokenizer::from_json(json, "s").encode_ids("cab", false) == Ids{2, 3});
}

TEST_CASE("merges may be pairs or strings") {
  Json json = small_json();
  json["model"]["merges"] = {"#version: 0.2", "a b", "ab c"};
  CHECK(Tokenizer::from_json(json, "s").encode_ids("abcab", false) == Ids{4, 3});
}

TEST_CASE("long pieces merge as short ones do") {
  const Tokenizer tokenizer = small();
  std::string text;
  Ids expected;
  Random random(7);
  for (int i = 0; i < 5000; ++i) {
    const uint64_t kind = random.below(4);
    text += kind == 0 ? "abc" : kind == 1 ? "ab" : kind == 2 ? "b" : " ";
    expected.push_back(kind == 0 ? 4 : kind == 1 ? 3 : kind == 2 ? 1 : 5);
  }
  CHECK(tokenizer.encode_ids(text, false) == expected);
}

TEST_CASE("the pre-tokenizer's chain of DeepSeek-V3 cuts as its reference says") {
  const Tokenizer v3 = trained(TokenizerFamily::kDeepSeekV3, {"a"}, 258);
  using Pieces = std::vector<std::string>;
  CHECK(pieces_of(v3, "1234") == Pieces{"123", "4"});
  CHECK(pieces_of(v3, "don't") == Pieces{"don", "'t"});
  CHECK(pieces_of(v3, "a  1") == Pieces{"a", "  ", "1"});
  CHECK(pieces_of(v3, "a  b") == Pieces{"a", " ", " b"});
  CHECK(pieces_of(v3, "!!hello") == Pieces{"!!", "hello"});
  CHECK(pieces_of(v3, " カ") == Pieces{" ", "カ"});
  CHECK(pieces_of(v3, "\nword") == Pieces{"\n", "word"});
  CHECK(pieces_of(v3, "x<bos>y") == Pieces{"x", "<bos>", "y"});
}

TEST_CASE("broken UTF-8 counts as U+FFFD, and offsets stay those of the bytes given") {
  const Tokenizer tokenizer = trained(TokenizerFamily::kDeepSeekV3, {"a"}, 258);
  // A lone continuation, a cut-off three-byte sequence, an overlong form of two broken parts.
  const std::string text =
      "a\x80"
      "b\xE4\xB8"
      "c\xC0\xAF";
  const std::string clean =
      "a\uFFFD"
      "b\uFFFD"
      "c\uFFFD\uFFFD";
  const Encoding encoding = tokenizer.encode(text, false);
  CHECK(encoding.ids == tokenizer.encode_ids(clean, false));
  CHECK(tokenizer.decode(encoding.ids, false) == clean);
  REQUIRE(encoding.offsets.size() == 3 + 4 * 3);
  CHECK(encoding.offsets[1] == Offset{1, 2});
  CHECK(encoding.offsets[3] == Offset{1, 2});
  CHECK(encoding.offsets[4] == Offset{2, 3});
  CHECK(encoding.offsets[5] == Offset{3, 5});
  CHECK(encoding.offsets.back() == Offset{7, 8});
}

TEST_CASE("a token of part of a character covers the whole character") {
  const Tokenizer tokenizer = trained(TokenizerFamily::kQwen2, {"a"}, 258);
  CHECK(tokenizer.encode("xé", false).offsets == std::vector<Offset>{{0, 1}, {1, 3}, {1, 3}});
  // What NFC joined stands where its first part stood, as `tokenizers` has it.
  CHECK(tokenizer.encode("xe\u0301", false).offsets == std::vector<Offset>{{0, 1}, {1, 2}, {1, 2}});
}

TEST_CASE("decode gives valid UTF-8 and leaves out ids without a token") {
  const Tokenizer tokenizer = trained(TokenizerFamily::kDeepSeekV3, {"a"}, 258);
  const Ids ids = tokenizer.encode_ids("é", false);
  REQUIRE(ids.size() == 2);
  CHECK(tokenizer.decode({ids[0]}, false) == "\uFFFD");
  CHECK(tokenizer.decode({ids[0], 100'000, -1, ids[1]}, false) == "é");
  CHECK(tokenizer.decode({0, ids[0], ids[1], 1}, false) == "<bos>é<eos>");
  CHECK(tokenizer.decode({0, ids[0], ids[1], 1}, true) == "é");
}

TEST_CASE("vocabulary questions") {
  const Tokenizer tokenizer = small();
  CHECK(tokenizer.vocab_size() == 7);
  CHECK(tokenizer.token_to_id("abc") == 4);
  CHECK(tokenizer.token_to_id("<s>") == 6);
  CHECK_FALSE(tokenizer.token_to_id("cab"));
  CHECK(tokenizer.id_to_token(6) == "<s>");
  CHECK(tokenizer.has_id(0));
  CHECK_FALSE(tokenizer.has_id(-1));
  CHECK_FALSE(tokenizer.has_id(7));
  CHECK(error_of([&] { tokenizer.id_to_token(7); }) == "small: no token has id 7");
  CHECK(tokenizer.special_ids() == Ids{6});
  CHECK(tokenizer.added_ids() == Ids{6});
  CHECK(tokenizer.json() == small_json());
}

TEST_CASE("a template puts ids before and behind, with offset 0") {
  Json json = small_json();
  json["post_processor"] = parse_json(R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
               {"SpecialToken": {"id": "b", "type_id": 0}}],
    "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [6], "tokens": ["<s>"]},
                                   "b": {"id": "b", "ids": [1, 2], "tokens": ["b", "c"]}}})",
                                      "s");
  const Tokenizer tokenizer = Tokenizer::from_json(json, "s");
  CHECK(tokenizer.encode_ids("ab", true) == Ids{6, 3, 1, 2});
  CHECK(tokenizer.encode_ids("ab", false) == Ids{3});
  CHECK(tokenizer.encode("ab", true).offsets ==
        std::vector<Offset>{{0, 0}, {0, 2}, {0, 0}, {0, 0}});
}

TEST_CASE("several threads encode with one tokenizer") {
  std::vector<std::string> texts;
  for (int i = 0; i < 200; ++i) texts.push_back("word" + std::to_string(i * 7919) + " naïve text");
  const Tokenizer tokenizer = trained(TokenizerFamily::kQwen2, texts, 400);
  std::vector<Ids> expected;
  for (const auto& text : texts) expected.push_back(tokenizer.encode_ids(text, true));
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 20; ++round) {
        for (size_t i = 0; i < texts.size(); ++i) {
          wrong[t] += tokenizer.encode(texts[i], true).ids != expected[i];
          wrong[t] += tokenizer.decode(expected[i], false) != texts[i];
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));
}

TEST_CASE("the cache of pieces may overflow") {
  const Tokenizer tokenizer = trained(TokenizerFamily::kDeepSeekV3, {"x"}, 258);
  Random random(3);
  std::string text;
  for (int i = 0; i < 60'000; ++i) {
    text += ' ';
    for (int k = 0; k < 40; ++k) text += static_cast<char>('a' + random.below(26));
  }
  CHECK(tokenizer.decode(tokenizer.encode_ids(text, false), false) == text);
}

TEST_CASE("a normalizer that blows texts up is stopped") {
  Json json = small_json();
  json["normalizer"] = {
      {"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", std::string(100'000, 'a')}};
  const Tokenizer tokenizer = Tokenizer::from_json(json, "s");
  CHECK(error_of([&] {
          tokenizer.encode_ids(std::string(10'000, 'b'), false);
        }).find("more than 64 times the text") != std::string::npos);
  json["normalizer"] = nullptr;
  json["decoder"] = {
      {"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", std::string(100'000, 'a')}};
  CHECK(error_of([&] {
          Tokenizer::from_json(json, "s").decode(Ids(10'000, 1), false);
        }).find("more than 64 times the tokens' text") != std::string::npos);
}

}  // namespace
}  // namespace hone::text
