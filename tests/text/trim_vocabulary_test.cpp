#include "hone/text/trim_vocabulary.h"

#include <catch2/catch.hpp>

#include "tokenizer_fixture.h"

namespace hone::text {
namespace {

using Ids = std::vector<int64_t>;

const std::vector<std::string> kTexts(20,
                                      "the theatre gathers there and then, other weather rather");

Ids before(const TrimmedTokenizer& trimmed, Ids ids) {
  for (int64_t& id : ids) id = trimmed.kept.at(static_cast<size_t>(id));
  return ids;
}

TEST_CASE("text of the kept ids is encoded id by id, other text still comes back") {
  const Tokenizer old = trained(TokenizerFamily::kQwen2, kTexts, 300);
  const std::string known = "the other theatre", other = "gathers <eos> weather, ßx\n";
  const Ids used = old.encode_ids(known, true);
  const TrimmedTokenizer trimmed = trim_vocabulary(old, used);
  const Tokenizer& now = trimmed.tokenizer;
  CHECK(now.vocab_size() == std::ssize(trimmed.kept));
  CHECK(now.vocab_size() < old.vocab_size());
  CHECK(before(trimmed, now.encode_ids(known, true)) == used);
  const Ids ids = now.encode_ids(other, false);
  CHECK(now.decode(ids, false) == other);
  CHECK(before(trimmed, ids) != old.encode_ids(other, false));  // of smaller tokens
  CHECK(now.special_ids() == Ids{0, 1});
  CHECK(before(trimmed, now.special_ids()) == old.special_ids());
}

/// small_json with bytes that stand for letters without a token, a token that no merge makes, and a
/// template.
Json with_bytes() {
  Json json = small_json();
  Json& model = json["model"];
  model["byte_fallback"] = true;
  model["vocab"]["<s>"] = 6;
  model["vocab"]["bca"] = 7;
  model["vocab"]["d"] = 8;
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", byte);
    model["vocab"][text] = 10 + byte;  // 9 is a hole
  }
  json["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
        {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
      {"pair", Json::array()},
      {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {6}}, {"tokens", {"<s>"}}}}}}};
  return json;
}

TEST_CASE("the parts of which merges make a token stay, and the merges between what stays") {
  const Tokenizer old = Tokenizer::from_json(with_bytes(), "bytes");
  const TrimmedTokenizer trimmed = trim_vocabulary(old, {4, 7});  // abc, bca
  const Json& json = trimmed.tokenizer.json();
  CHECK(Ids(trimmed.kept.begin(), trimmed.kept.begin() + 7) == Ids{0, 1, 2, 3, 4, 6, 7});
  CHECK(trimmed.kept.size() == 7 + 256);
  CHECK(json.at("model").at("merges").dump() == R"([["a","b"],["ab","c"]])");
  CHECK(json.at("model").at("vocab").at("<s>") == 5);  // an entry, so that `tokenizers` counts it
  CHECK(trimmed.tokenizer.encode_ids("abcb", true) == Ids{5, 4, 1});
  CHECK(trimmed.tokenizer.encode_ids("d", false) == Ids{7 + 'd'});
  const TrimmedTokenizer less = trim_vocabulary(old, {3, 2});
  CHECK(less.tokenizer.json().at("model").at("merges").dump() == R"([["a","b"]])");
}

TEST_CASE("what cannot be trimmed is refused") {
  CHECK(error_of([] { trim_vocabulary(Tokenizer::from_json(with_bytes(), "bytes"), {9}); }) ==
        "trim_vocabulary: there is no token with id 9");
  CHECK(error_of([] { trim_vocabulary(small(), {0}); }) ==
        "small: cannot be trimmed: it is neither byte-level nor has it byte_fallback, so that "
        "letters without a token would be lost");
}

TEST_CASE("the ids that a folder's files name are renumbered") {
  const Json config = {{"bos_token_id", 6},
                       {"eos_token_id", {4, 5}},
                       {"pad_token_id", nullptr},
                       {"suppress_tokens", {5}},
                       {"vocab_size", 9},
                       {"added_tokens_decoder", {{"6", {{"content", "<s>"}}}, {"5", {}}}}};
  CHECK(named_tokens(config) == Ids{6, 4, 5, 5});
  CHECK(renumber_tokens(config, {0, 4, 6}) ==
        Json{{"bos_token_id", 2},
             {"eos_token_id", {1}},
             {"pad_token_id", nullptr},
             {"suppress_tokens", Json::array()},
             {"vocab_size", 9},
             {"added_tokens_decoder", {{"2", {{"content", "<s>"}}}}}});
}

}  // namespace
}  // namespace hone::text
