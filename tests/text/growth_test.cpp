#include "hone/text/growth.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <numeric>
#include <set>

#include "hone/core/error.h"
#include "hone/core/random.h"
#include "hone/core/utf8.h"
#include "hone/text/detail/pre_tokenizer.h"

namespace hone::text {
namespace {

using Kind = GrownToken::Kind;
using Ids = std::vector<int64_t>;

constexpr const char* kQwenPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

/// Qwen2's or Llama-3's structure over 256 bytes and the merges given, spelled as in the file
/// ("Ġ" is a space); added tokens behind the vocabulary.
Json byte_level(const std::vector<std::pair<std::string, std::string>>& merges,
                const std::vector<std::string>& added = {}, bool ignore_merges = false) {
  Json vocab = Json::object(), pairs = Json::array(), tokens = Json::array();
  int64_t next = 0;
  for (int byte = 0; byte < 256; ++byte) {
    vocab[to_utf8(detail::byte_to_char(static_cast<uint8_t>(byte)))] = next++;
  }
  for (const auto& [left, right] : merges) {
    if (!vocab.contains(left + right)) vocab[left + right] = next++;
    pairs.push_back({left, right});
  }
  for (const std::string& content : added) {
    tokens.push_back({{"id", next++},
                      {"content", content},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", true}});
  }
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kQwenPattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const Json bytes = {{"type", "ByteLevel"},
                      {"add_prefix_space", false},
                      {"trim_offsets", true},
                      {"use_regex", false}};
  return {
      {"version", "1.0"},
      {"added_tokens", tokens},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", Json::array({split, bytes})}}},
      {"post_processor", bytes},
      {"decoder", bytes},
      {"model",
       {{"type", "BPE"}, {"vocab", vocab}, {"merges", pairs}, {"ignore_merges", ignore_merges}}}};
}

/// Llama-2's structure: a text is one piece, words begin with "▁", other characters are bytes.
Json metaspace() {
  Json vocab = {{"<unk>", 0}, {"<s>", 1}};
  int64_t next = 2;
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", byte);
    vocab[text] = next++;
  }
  for (char c = 'a'; c <= 'z'; ++c) vocab[std::string(1, c)] = next++;
  for (const char* token : {"▁", "ca", "▁ca", "car", "di", "ac"}) vocab[token] = next++;
  return {
      {"version", "1.0"},
      {"added_tokens", Json::array()},
      {"normalizer",
       {{"type", "Sequence"},
        {"normalizers",
         Json::array({{{"type", "Prepend"}, {"prepend", "▁"}},
                      {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}}})}}},
      {"pre_tokenizer", nullptr},
      {"post_processor", nullptr},
      {"decoder",
       {{"type", "Sequence"},
        {"decoders",
         Json::array({{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}},
                      {{"type", "ByteFallback"}},
                      {{"type", "Fuse"}},
                      {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}})}}},
      {"model",
       {{"type", "BPE"},
        {"unk_token", "<unk>"},
        {"fuse_unk", true},
        {"byte_fallback", true},
        {"vocab", vocab},
        {"merges", Json::array({"c a", "▁ ca", "ca r", "d i", "a c"})}}}};
}

Tokenizer make(const Json& json) {
  return Tokenizer::from_json(parse_json(json.dump(), "test"), "test");
}

/// The new tokens, one a line: "id kind token|text <pieces".
std::string listed(const GrowthResult& result) {
  std::string lines;
  for (const GrownToken& token : result.added) {
    const char* kinds[] = {"term", "part", "added"};
    lines += std::to_string(token.id) + " " + kinds[static_cast<int>(token.kind)] + " " +
             token.token + "|" + token.text + " <";
    for (const int64_t piece : token.pieces) lines += " " + std::to_string(piece);
    lines += "\n";
  }
  return lines;
}

std::string refusal(const Tokenizer& tokenizer, const std::vector<std::string>& terms,
                    const GrowOptions& options = {}) {
  try {
    grow(tokenizer, terms, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// The ids with every new one taken apart into its pieces.
Ids taken_apart(const Ids& ids, const std::vector<GrownToken>& added) {
  Ids old;
  for (const int64_t id : ids) {
    const bool is_new = !added.empty() && id >= added.front().id;
    if (!is_new) {
      old.push_back(id);
      continue;
    }
    const Ids& pieces = added[static_cast<size_t>(id - added.front().id)].pieces;
    old.insert(old.end(), pieces.begin(), pieces.end());
  }
  return old;
}

const std::vector<std::pair<std::string, std::string>> kMerges = {
    {"a", "b"}, {"c", "d"}, {"Ġ", "ab"}, {"e", "f"}, {"ab", "cd"}};
// ids: ab 256, cd 257, Ġab 258, ef 259, abcd 260

TEST_CASE("a term gets merges left to right, its parts and pieces known") {
  const Tokenizer old = make(byte_level(kMerges, {"<s>"}));
  REQUIRE(old.encode_ids("\n abefcd", false) == Ids{10, 258, 259, 257});
  const GrowthResult result = grow(old, {" abefcd"});
  CHECK(listed(result) ==
        "262 part Ġabef| abef < 258 259\n"
        "263 term Ġabefcd| abefcd < 258 259 257\n");
  CHECK(result.tokenizer.encode_ids("x abefcd.", false) == Ids{'x', 263, '.'});
  CHECK(result.tokenizer.decode({263}, false) == " abefcd");
  CHECK(result.tokenizer.vocab_size() == 264);
  CHECK(result.tokenizer.encode_ids("<s>abcd", false) == Ids{261, 260});
  CHECK(result.tokenizer.json().at("model").at("vocab").at("<s>") == 261);
  CHECK(result.tokenizer.json().at("model").at("merges").back().dump() == R"(["Ġabef","cd"])");
  CHECK(old.json().at("model").at("merges").size() == kMerges.size());  // untouched
}

TEST_CASE("terms share parts, and a part becomes a term where asked for") {
  const Tokenizer old = make(byte_level(kMerges));
  const GrowthResult result = grow(old, {" abefcd", " abefxy", " abef"});
  CHECK(listed(result) ==
        "261 term Ġabef| abef < 258 259\n"
        "262 term Ġabefcd| abefcd < 258 259 257\n"
        "263 part Ġabefx| abefx < 258 259 120\n"
        "264 term Ġabefxy| abefxy < 258 259 120 121\n");
}

TEST_CASE("tokens that exist are merged into, and their old merges go on") {
  // "xy" exists through (x,y); "xyz" through (xy,z); "z" never meets "xy" in "qxyz" before (q,x).
  const Tokenizer old =
      make(byte_level({{"q", "x"}, {"x", "y"}, {"xy", "z"}, {"q", "xy"}, {"qxy", "w"}}));
  REQUIRE(old.encode_ids("qxyw", false).size() == 3);  // qx y w, although "qxy" and "qxyw" exist
  const GrowthResult result = grow(old, {"qxyw"});
  CHECK(result.added.empty());
  CHECK(result.unchanged.empty());
  CHECK(result.tokenizer.encode_ids("qxyw", false) == Ids{*old.token_to_id("qxyw")});
  CHECK(result.tokenizer.vocab_size() == old.vocab_size());
}

TEST_CASE("repeated pairs in one term still end in one token") {
  const Tokenizer old = make(byte_level({}));
  const GrowthResult result = grow(old, {"ghghgh", "hghg", "ggggg"});
  for (const char* term : {"ghghgh", "hghg", "ggggg"}) {
    CHECK(result.tokenizer.encode_ids(term, false).size() == 1);
  }
}

TEST_CASE("a term of several pieces becomes an added token, found anywhere") {
  const Tokenizer old = make(byte_level(kMerges, {"<s>"}));
  const GrowthResult result = grow(old, {"ab cd", "ab-7"});
  CHECK(listed(result) ==
        "262 added ab cd|ab cd < 256 32 257\n"
        "263 added ab-7|ab-7 < 256 45 55\n");
  CHECK(result.tokenizer.encode_ids("xab cdx ab-7", false) == Ids{'x', 262, 'x', ' ', 263});
  CHECK(result.tokenizer.added_ids() == Ids{261, 262, 263});
  CHECK(result.tokenizer.special_ids() == Ids{261});
  CHECK(result.tokenizer.decode({262}, true) == "ab cd");
}

TEST_CASE("with ignore_merges the entry alone suffices") {
  const Tokenizer old = make(byte_level(kMerges, {"<s>"}, true));
  const GrowthResult result = grow(old, {" abefcd"});
  CHECK(listed(result) == "262 term Ġabefcd| abefcd < 258 259 257\n");
  CHECK(result.tokenizer.json().at("model").at("merges") == old.json().at("model").at("merges"));
  CHECK(result.tokenizer.encode_ids("x abefcd", false) == Ids{'x', 262});
  CHECK(result.tokenizer.encode_ids("x abefcdx", false) == Ids{'x', 258, 259, 257, 'x'});
}

TEST_CASE("Llama-2's structure: words by merges, what needs byte tokens as added tokens") {
  const Tokenizer old = make(metaspace());
  const GrowthResult result = grow(old, {" cardiac", "ärzte", " car ca"});
  const auto id = [&old](const char* token) { return std::to_string(*old.token_to_id(token)); };
  CHECK(listed(result) ==
        "290 part ▁car| car < " + id("▁ca") + " " + id("r") + "\n" + "291 part ▁cardi| cardi < " +
            id("▁ca") + " " + id("r") + " " + id("di") + "\n" + "292 term ▁cardiac| cardiac < " +
            id("▁ca") + " " + id("r") + " " + id("di") + " " + id("ac") + "\n" +
            "293 added ärzte|ärzte < " + id("<0xC3>") + " " + id("<0xA4>") + " " + id("r") + " " +
            id("z") + " " + id("t") + " " + id("e") + "\n" + "294 term ▁car▁ca| car ca < " +
            id("▁ca") + " " + id("r") + " " + id("▁ca") + "\n");
  CHECK(result.tokenizer.encode_ids("cardiac cardiac", false) == Ids{292, 292});
  CHECK(result.tokenizer.json().at("model").at("merges").back() == "▁car ▁ca");
}

TEST_CASE("terms that are one token already are told apart, repeated ones taken once") {
  const Tokenizer old = make(byte_level(kMerges, {"<s>"}));
  const GrowthResult result = grow(old, {"abcd", "<s>", " abef", " abef", "x"});
  CHECK(result.unchanged == std::vector<std::string>{"abcd", "<s>", "x"});
  CHECK(result.added.size() == 1);
  const GrowthResult nothing = grow(old, {"abcd"});
  CHECK(nothing.added.empty());
  CHECK(nothing.tokenizer.json() == old.json());
  CHECK(grow(old, {}).tokenizer.json() == old.json());
}

TEST_CASE("first_free_id leaves the rows below it alone") {
  const Tokenizer old = make(byte_level(kMerges, {"<s>"}));
  const GrowthResult result = grow(old, {" abef", "ab cd"}, {.first_free_id = 300});
  CHECK(result.added[0].id == 300);
  CHECK(result.added[1].id == 301);
  CHECK_FALSE(result.tokenizer.has_id(262));
  CHECK(result.tokenizer.token_to_id("<s>") == 261);
  CHECK(grow(old, {" abef"}, {.first_free_id = 5}).added[0].id == 262);
}

TEST_CASE("max_new_tokens leaves out what does not fit") {
  const Tokenizer old = make(byte_level(kMerges));
  const GrowthResult result =
      grow(old, {" abefcd", "uvwxyz", "ab cd", " abefcdef"}, {.max_new_tokens = 4});
  CHECK(result.added.size() == 4);
  CHECK(result.left_out == std::vector<std::string>{"uvwxyz"});
  CHECK(grow(old, {" abefcd"}, {.max_new_tokens = 0}).added.empty());
}

TEST_CASE("the mode decides, and what it rules out is refused by name") {
  const Tokenizer old = make(byte_level(kMerges, {"<s>"}));
  CHECK(listed(grow(old, {" abef"}, {.mode = GrowthMode::kAddedTokens})) ==
        "262 added  abef| abef < 258 259\n");
  CHECK(refusal(old, {" abef", "ab cd", "a<s>"}, {.mode = GrowthMode::kMerges}) ==
        "vocabulary growth: these terms cannot be added:\n"
        "  \"ab cd\": cannot become one token by merges: it is more than one pre-token piece; "
        "mode auto makes it an added token\n"
        "  \"a<s>\": cannot become one token by merges: it is more than one pre-token piece; "
        "mode auto makes it an added token");
  const Tokenizer llama = make(metaspace());
  CHECK(refusal(llama, {"ärzte"}, {.mode = GrowthMode::kMerges}).find("spelled with byte tokens") !=
        std::string::npos);
}

TEST_CASE("terms that cannot be added are all named") {
  const Tokenizer old = make(byte_level(kMerges));
  const std::string message = refusal(
      old, {"", "a\xff", std::string(5000, 'x') + " ", "na\xc3\xafve-caf\xc3\xa9", " abef"});
  CHECK(message ==
        "vocabulary growth: these terms cannot be added:\n"
        "  \"\": is empty\n"
        "  \"a\xff\": is not UTF-8\n"
        "  \"" +
            std::string(40, 'x') +
            "...\": is longer than 4096 bytes\n"
            "  \"naïve-café\": would decode to \"na\xef\xbf\xbdve-caf\xef\xbf\xbd\" as an added "
            "token, "
            "as the decoder takes its letters for bytes");
  // "é" alone is how the file spells byte 0xE9.
  CHECK(refusal(old, {"é"}, {.mode = GrowthMode::kAddedTokens})
            .find("is spelled like a token that stands for other text") != std::string::npos);
  CHECK(refusal(old, {}).empty());
}

TEST_CASE("added tokens within others are found longest first") {
  const Tokenizer old = make(byte_level(kMerges));
  const GrowthResult result = grow(old, {"b c", "ab cd", "x ab cd"});
  CHECK(result.tokenizer.encode_ids("ab cd x ab cd b c", false) == Ids{262, ' ', 263, ' ', 261});
}

TEST_CASE("merges never make an added token") {
  Json json = byte_level({}, {"xy"});
  json["added_tokens"][0]["single_word"] = true;  // so "xyz" holds x and y as bytes
  const GrowthResult result = grow(make(json), {"xyz"});
  CHECK(listed(result) == "257 added xyz|xyz < 120 121 122\n");
  CHECK(result.tokenizer.encode_ids("xya xy xyz", false) == Ids{'x', 'y', 'a', ' ', 256, ' ', 257});
  CHECK(refusal(make(json), {"xyz"}, {.mode = GrowthMode::kMerges})
            .find("its start is spelled like the added token \"xy\"") != std::string::npos);
}

TEST_CASE("candidates are counted, filtered and ranked by what they save") {
  const Tokenizer old = make(byte_level(kMerges, {"<s>"}));
  const std::vector<std::string> texts = {" ab xyz xyz", "uvw xyz <s>", " 12345 12345, abcd",
                                          " uvw uvw", "\xff uvw"};
  const auto found = mine_terms(old, texts, {.min_pieces = 2, .min_count = 2});
  REQUIRE(found.size() == 2);
  CHECK(found[0].text == " uvw");
  CHECK(found[0].count == 3);
  CHECK(found[0].pieces == 4);
  CHECK(found[0].saved == 9);
  CHECK(found[1].text == " xyz");
  CHECK(found[1].saved == 9);
  CHECK(mine_terms(old, texts, {.max_terms = 1, .min_count = 2}).size() == 1);
  CHECK(mine_terms(old, texts, {.min_pieces = 5, .min_count = 1}).empty());
  CHECK(mine_terms(old, texts, {.min_count = 4}).empty());
  CHECK(mine_terms(old, {}, {}).empty());
  CHECK_THROWS_AS(mine_terms(old, texts, {.min_pieces = 1}), Error);
}

TEST_CASE("words_only keeps to letters, and without it any piece counts") {
  const Tokenizer old = make(byte_level({}));
  const auto terms = [&old](bool words_only) {
    std::set<std::string> set;
    for (const TermCandidate& candidate :
         mine_terms(old, {"--- éx (ab ---", " a1b2 --- éx"},
                    {.min_pieces = 2, .min_count = 1, .words_only = words_only})) {
      set.insert(candidate.text);
    }
    return set;
  };
  CHECK(terms(true) == std::set<std::string>{" éx", " a", "ab"});
  CHECK(terms(false) == std::set<std::string>{" éx", " a", "ab", "---", " ---", " ("});
}

TEST_CASE("in Llama-2's structure words are found although a text is one piece") {
  const Tokenizer old = make(metaspace());
  const auto found = mine_terms(old, {"zebra, zebra (zebra", "a zebra"}, {.min_count = 1});
  REQUIRE(found.size() == 2);
  CHECK(found[0].text == "zebra");  // its four joins serve the others too
  CHECK(found[0].count == 1);
  CHECK(found[0].pieces == 5);
  CHECK(found[0].ids == 4);
  CHECK(found[0].saved == 16);
  CHECK(found[1].text == " zebra");
  CHECK(found[1].count == 3);
  CHECK(found[1].pieces == 6);
  CHECK(found[1].ids == 1);
  CHECK(found[1].saved == 3);
  const auto parts =
      mine_terms(old, {"zebra, x y"}, {.min_pieces = 2, .min_count = 1, .words_only = false});
  REQUIRE(parts.size() == 3);
  CHECK(std::any_of(parts.begin(), parts.end(),
                    [](const TermCandidate& part) { return part.text == " zebra,"; }));
}

TEST_CASE("words of a list also come after a space") {
  const Tokenizer old = make(byte_level(kMerges));
  CHECK(with_spaced_forms(old, {"ab", " cd", "ab cd"}) ==
        std::vector<std::string>{"ab", " ab", " cd", "ab cd"});
  // Not where words have no spaces between them, though " 合同" is one piece.
  CHECK(with_spaced_forms(old, {"合同"}) == std::vector<std::string>{"合同"});
}

/// WordNet's glosses that hold a word of the prefix; real text with real repetition.
std::vector<std::string> glosses(const std::string& prefix) {
  std::ifstream file("/usr/share/wordnet/data.noun");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    const size_t bar = line.find("| ");
    if (bar != std::string::npos && line.find(prefix, bar) != std::string::npos) {
      lines.push_back(line.substr(bar + 2));
    }
  }
  if (lines.size() < 200) throw Error("WordNet's texts are missing; install wordnet-base");
  return lines;
}

size_t tokens_of(const Tokenizer& tokenizer, const std::vector<std::string>& texts) {
  size_t sum = 0;
  for (const std::string& text : texts) sum += tokenizer.encode_ids(text, false).size();
  return sum;
}

const std::vector<std::pair<std::string, std::string>> kEnglish = {
    {"t", "h"},   {"i", "n"},  {"e", "r"},  {"a", "n"}, {"o", "n"},   {"r", "e"}, {"Ġ", "th"},
    {"a", "t"},   {"e", "n"},  {"Ġ", "a"},  {"o", "r"}, {"e", "s"},   {"i", "s"}, {"in", "g"},
    {"Ġth", "e"}, {"Ġ", "o"},  {"Ġo", "f"}, {"e", "d"}, {"i", "t"},   {"a", "l"}, {"a", "r"},
    {"Ġ", "d"},   {"i", "on"}, {"a", "s"},  {"Ġ", "s"}, {"Ġd", "is"}, {"Ġ", "p"}, {"at", "ion"}};

TEST_CASE("mined terms pay on real text, and new encodings are the old ones joined") {
  const std::vector<std::string> texts = glosses("diseas");
  const std::vector<std::string> others = glosses("music");
  for (const bool ignore_merges : {false, true}) {
    const Tokenizer old = make(byte_level(kEnglish, {"<s>"}, ignore_merges));
    const auto mined = mine_terms(old, texts, {.max_terms = 60, .min_pieces = 3, .min_count = 5});
    REQUIRE(mined.size() == 60);
    CHECK(std::any_of(mined.begin(), mined.end(),
                      [](const auto& term) { return term.text == " disease"; }));
    const size_t before = tokens_of(old, texts);

    // Each term saves what was promised, after those before it.
    size_t saved = 0;
    for (const size_t most : {1, 17, 60}) {
      std::vector<std::string> first;
      for (size_t i = 0; i < most; ++i) first.push_back(mined[i].text);
      const size_t after = tokens_of(grow(old, first).tokenizer, texts);
      saved = 0;
      for (size_t i = 0; i < most; ++i) saved += static_cast<size_t>(mined[i].saved);
      CHECK(before - after == saved);
    }

    std::vector<std::string> terms;
    int64_t ids = 0;
    for (const TermCandidate& term : mined) {
      terms.push_back(term.text);
      ids += term.ids;
    }
    const GrowthResult result = grow(old, terms);
    CHECK(std::ssize(result.added) == ids);
    CHECK(result.added.front().id == old.vocab_size());
    for (size_t i = 0; i < result.added.size(); ++i) {
      CHECK(result.added[i].id == result.added.front().id + static_cast<int64_t>(i));
    }
    for (const std::string& term : terms) {
      CHECK(result.tokenizer.encode_ids(term, false).size() == 1);
    }
    for (const auto* set : {&texts, &others}) {
      for (const std::string& text : *set) {
        const Ids ids = result.tokenizer.encode_ids(text, false);
        CHECK(taken_apart(ids, result.added) == old.encode_ids(text, false));
        CHECK(result.tokenizer.decode(ids, false) == text);
      }
    }
  }
}

TEST_CASE("random terms over random merges become one token each") {
  Random random(5);
  for (int round = 0; round < 60; ++round) {
    std::vector<std::pair<std::string, std::string>> merges;
    std::vector<std::string> known = {"a", "b", "c"};
    std::set<std::string> pairs;
    for (int i = 0; i < 12; ++i) {
      const std::string left = known[random.below(known.size())];
      const std::string right = known[random.below(known.size())];
      if (!pairs.insert(left + "|" + right).second) continue;
      merges.emplace_back(left, right);
      known.push_back(left + right);
    }
    const Tokenizer old = make(byte_level(merges));
    std::vector<std::string> terms;
    for (int i = 0; i < 8; ++i) {
      std::string term;
      for (uint64_t n = 2 + random.below(10); n > 0; --n) term += "abc"[random.below(3)];
      terms.push_back(term);
    }
    const GrowthResult result = grow(old, terms);
    for (const std::string& term : terms) {
      INFO(term);
      const Ids ids = result.tokenizer.encode_ids(term, false);
      REQUIRE(ids.size() == 1);
      CHECK(result.tokenizer.decode(ids, false) == term);
    }
    for (const GrownToken& token : result.added) {
      CHECK(old.decode(token.pieces, false) == token.text);
    }
  }
}

}  // namespace
}  // namespace hone::text
