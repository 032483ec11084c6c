#include "hone/infer/detail/stop_strings.h"

#include <algorithm>

#include "infer/support.h"
#include "support/catch.h"

namespace hone::serve::detail {
namespace {

const text::Tokenizer& plain() {
  static const text::Tokenizer tokenizer = test::small_tokenizer();
  return tokenizer;
}

/// Ids of the pieces, each encoded by itself.
std::vector<int64_t> ids_of(const text::Tokenizer& tokenizer,
                            const std::vector<std::string>& pieces) {
  std::vector<int64_t> ids;
  for (const std::string& piece : pieces) {
    const auto id = tokenizer.token_to_id(piece);
    if (id) {
      ids.push_back(*id);
    } else {
      for (const int64_t more : tokenizer.encode_ids(piece, false)) ids.push_back(more);
    }
  }
  return ids;
}

/// The text up to the string that ends it, once the tokens up to the one that completes it came.
std::optional<std::string> cut(const std::vector<std::string>& pieces,
                               const std::vector<std::string>& strings, size_t first = 0,
                               const text::Tokenizer& tokenizer = plain()) {
  const infer::detail::StopStrings stops(tokenizer, strings);
  const std::vector<int64_t> ids = ids_of(tokenizer, pieces);
  for (size_t end = first + 1; end <= ids.size(); ++end) {
    if (const auto bytes = stops.find(std::span(ids).first(end), first)) {
      const std::string text = tokenizer.decode(
          {ids.begin() + static_cast<ptrdiff_t>(first), ids.begin() + static_cast<ptrdiff_t>(end)},
          true);
      return text.substr(0, text.size() - std::min(text.size(), *bytes));
    }
  }
  return std::nullopt;
}

TEST_CASE("StopStrings: found wherever they begin and end") {
  CHECK(plain().token_to_id("stop").has_value());
  CHECK(cut({"the", " stop"}, {"stop"}) == "the ");
  CHECK(cut({"a", "stop"}, {"op"}) == "ast");
  CHECK(cut({"s", "t", "o", "p", "x"}, {"stop"}) == "");
  CHECK(cut({"xs", "top", "that"}, {"stop"}) == "x");
  CHECK(cut({"a", "b"}, {"stop"}) == std::nullopt);
  CHECK(cut({"a", "b"}, {}) == std::nullopt);
  CHECK(cut({"abcdef"}, {"ef", "bcdefg", "cd"}) == "ab");
  CHECK(cut({"a long text before it, longer than any string; ", "stop"}, {"stop"}) ==
        "a long text before it, longer than any string; ");
}

TEST_CASE("StopStrings: of several that one token completes, the earliest counts") {
  CHECK(cut({"x", "s", "top"}, {"op", "stop"}) == "x");
  CHECK(cut({"x", "s", "top"}, {"stop", "op"}) == "x");
}

TEST_CASE("StopStrings: what begins in the prompt does not count") {
  CHECK(cut({"s", "top", "s", "top"}, {"stop"}, 1) == "top");
  CHECK(cut({"x", "stop"}, {"stop"}, 1) == "");
}

TEST_CASE("StopStrings: characters of several tokens") {
  CHECK(cut({"a", "\u20ac", "b"}, {"\u20ac"}) == "a");
  CHECK(cut({"\u20ac", "x\u20ac\u20acy"}, {"x\u20ac"}) == "\u20ac");
  CHECK(cut({"a", "\u20ac\u20ac", "stop"}, {"stop"}) == "a\u20ac\u20ac");
}

TEST_CASE("StopStrings: special tokens count as their text, of which the result has none") {
  CHECK(cut({"ab", "<eos>"}, {"<eos>"}) == "ab");
  CHECK(cut({"ab", "<eos>"}, {"b<e"}) == "a");
  CHECK(cut({"a", "<eos>", "<bos>", "stop"}, {"os>stop"}) == "a");
  CHECK(cut({"a", "<eos>", "s", "<eos>", "x"}, {"s<eos>x"}) == "a");
}

TEST_CASE("StopStrings: the space that begins a word of a SentencePiece vocabulary") {
  const Json json = parse_json(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [
      {"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
       "normalized": false, "special": true}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null,
    "decoder": {"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
      {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "model": {"type": "BPE", "dropout": null, "unk_token": null,
      "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
      "byte_fallback": true, "ignore_merges": false,
      "vocab": {"<s>": 0, "▁ab": 1, "b": 2, "a": 3, "<0xE2>": 4, "<0x82>": 5, "<0xAC>": 6},
      "merges": []}})",
                               "test");
  const auto tokenizer = text::Tokenizer::from_json(json, "test");
  CHECK(cut({"a", "▁ab"}, {" a"}, 1, tokenizer) == "");
  CHECK(cut({"<s>", "▁ab"}, {" a"}, 1, tokenizer) == "");
  CHECK(cut({"<s>", "▁ab", "▁ab"}, {"b a"}, 1, tokenizer) == "a");
  CHECK(cut({"▁ab", "▁ab", "b"}, {"bb"}, 1, tokenizer) == "a");
  CHECK(cut({"a", "b", "<0xE2>", "<0x82>", "<0xAC>"}, {"\u20ac"}, 1, tokenizer) == "b");
}

}  // namespace
}  // namespace hone::serve::detail
