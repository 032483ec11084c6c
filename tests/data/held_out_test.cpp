#include <catch2/catch.hpp>

#include "data/support.h"
#include "hone/core/random.h"

namespace hone::data {
namespace {

using namespace testing;
using Marked = std::vector<std::string>;

const Merges kBase = {{"a", "b"}, {"c", "d"}};
/// kBase's tokens and more: "abcd", "cdab", "ee", "eecd", "xa".
Merges grown() {
  Merges merges = kBase;
  merges.insert(merges.end(),
                {{"ab", "cd"}, {"cd", "ab"}, {"e", "e"}, {"ee", "cd"}, {"x", "a"}, {"g", "h"}});
  return merges;
}

Dataset held_out(const std::string& rows, const text::TokenizerFolder& folder, OnTooLong policy,
                 int64_t length) {
  return load(rows, folder, {.on_too_long = policy},
              {.max_length = length, .whole_characters = true, .keep_cuts = true});
}

/// What the set's targets spell, one document after another: parts may end inside a character.
std::string targets(const Dataset& set, const text::Tokenizer& tokenizer) {
  std::vector<int64_t> ids;
  for (const Example& example : set.examples) {
    for (const int64_t target : example.targets) {
      if (target != kIgnoreIndex) ids.push_back(target);
    }
  }
  return tokenizer.decode(ids, false);
}

TEST_CASE("a text that was cut by one tokenizer is scored to the same byte by another") {
  const auto base = make_folder(kBase), other = make_folder(grown());
  // x ab cd ab cd | e e e e: after growth five tokens would reach as far as the last e.
  const Dataset before = held_out("{\"text\": \"xabcdabcdeeee\"}", base, OnTooLong::kTruncate, 5);
  CHECK(marked(before, base.tokenizer) == Marked{"x[abcdabcd]"});
  const Dataset after = retokenise(before, base, other);
  CHECK(marked(after, other.tokenizer) == Marked{"x[abcdabcd]"});
  CHECK(before.counts.trained == 4);
  CHECK(after.counts.trained == 2);
  CHECK(after.counts.truncated == 1);
}

TEST_CASE("a dropped document stays dropped under a tokenizer that would fit it") {
  const auto base = make_folder(kBase), other = make_folder(grown());
  const std::string rows = "{\"text\": \"abcdabcdabcd\"}\n{\"text\": \"gab\"}";
  const Dataset before = held_out(rows, base, OnTooLong::kDrop, 5);
  const Dataset after = retokenise(before, base, other);
  CHECK(before.counts.documents == 1);
  CHECK(after.counts.documents == 1);
  CHECK(after.counts.dropped == 1);
  const DatasetOptions drop{.max_length = 5, .on_too_long = OnTooLong::kDrop};
  CHECK(load(rows, other, drop).counts.documents == 2);
}

TEST_CASE("a prompt's border and a first token stay where the base put them") {
  const auto base = make_folder(kBase), other = make_folder(grown());
  const Dataset before =
      held_out(R"({"prompt": "qg", "completion": "habcd"})", base, OnTooLong::kTruncate, 64);
  const Dataset after = retokenise(before, base, other);
  CHECK(marked(before, base.tokenizer) == Marked{"qg[habcd</s>]"});
  CHECK(marked(after, other.tokenizer) == Marked{"qg[habcd</s>]"});  // no "gh", though a token
  CHECK(after.examples[0].length() == 5);
  const Dataset first = held_out(R"({"text": "eecdab"})", base, OnTooLong::kTruncate, 64);
  CHECK(marked(retokenise(first, base, other), other.tokenizer) == Marked{"e[ecdab</s>]"});
}

TEST_CASE("a cut of held-out text falls between characters") {
  const auto base = make_folder(kBase);
  const Dataset set =
      held_out("{\"text\": \"ab\xe4\xb8\xad\xe4\xb8\xad\"}", base, OnTooLong::kTruncate, 6);
  CHECK(set.examples[0].length() == 4);
  CHECK(marked(set, base.tokenizer) == Marked{"ab[\xe4\xb8\xad]"});
  CHECK(set.counts.lost_tokens == 4);
}

TEST_CASE("rows of tokens are scored as they are by every tokenizer") {
  const auto base = make_folder(kBase), other = make_folder(grown());
  const Dataset before =
      held_out("{\"input_ids\": [102, 103, 104, 105]}", base, OnTooLong::kTruncate, 3);
  const Dataset after = retokenise(before, base, other);
  CHECK(after.hash == before.hash);
  CHECK(after.counts.json() == before.counts.json());
  Dataset bare = before;
  bare.cuts.clear();
  CHECK_THROWS_WITH(retokenise(bare, base, other), Catch::Contains("kept no text"));
}

TEST_CASE("random texts are scored to the same byte under every policy, with bos and without") {
  Random random(7);
  const char* const letters[] = {"a", "b", "c", "d", "e", "x", "g", "h", " ", "é", "中"};
  for (int round = 0; round < 300; ++round) {
    std::string rows;
    const auto text = [&](int most) {
      std::string made;
      for (auto n = 1 + random.below(most); n > 0; --n) made += letters[random.below(11)];
      return made;
    };
    for (int i = 0; i < 4; ++i) rows += "{\"text\": \"" + text(30) + "\"}\n";
    const bool bos = random.below(2) == 1;
    const auto base = make_folder(kBase, bos), other = make_folder(grown(), bos);
    for (const OnTooLong policy : {OnTooLong::kTruncate, OnTooLong::kDrop, OnTooLong::kSplit}) {
      const auto length = static_cast<int64_t>(2 + random.below(20));
      DatasetOptions options{.on_bad_row = OnBadRow::kSkip, .on_too_long = policy};
      Dataset before;
      try {
        before = load(rows, base, options,
                      {.max_length = length, .whole_characters = true, .keep_cuts = true});
      } catch (const Error&) {
        continue;  // every document was too long
      }
      const Dataset after = retokenise(before, base, other);
      INFO(rows << length << " " << enum_name(policy));
      CHECK(targets(after, other.tokenizer) == targets(before, base.tokenizer));
      CHECK(after.counts.trained <= before.counts.trained);
      CHECK(retokenise(before, base, base).hash == before.hash);
    }
  }
}

}  // namespace
}  // namespace hone::data
