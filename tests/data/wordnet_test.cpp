#include "hone/data/wordnet.h"

#include <catch2/catch.hpp>

#include "data/wordnet_fixture.h"
#include "hone/core/error.h"
#include "hone/core/random.h"
#include "hone/data/detail/synonyms.h"

namespace hone::data {
namespace {

using Catch::Contains;
using testing::WordNetFolder;
using Words = std::vector<std::string>;
using Part = WordNet::Part;

const std::vector<testing::Synset> kSynsets = {
    {'a', {"happy", "glad", "joyful(p)", "light-hearted"}},
    {'s', {"happy", "fortunate", "glad"}},
    {'n', {"He", "helium", "atomic_number_2"}},
    {'n', {"dog", "hound"}},
    {'v', {"dog", "tail"}},
    {'n', {"road", "route"}},
    {'n', {"meeting", "gathering"}},
    {'v', {"meet", "encounter"}},
    {'n', {"might", "power"}},
    {'v', {"found", "establish"}},
    {'r', {"quickly", "rapidly", "speedily"}}};

TEST_CASE("WordNet: other words of the most frequent synsets, in their order") {
  const WordNetFolder folder(kSynsets);
  const WordNet wordnet(folder.path());
  CHECK(wordnet.synonyms("happy", Part::kAdjective, 1) == Words{"glad", "joyful", "light-hearted"});
  CHECK(wordnet.synonyms("happy", Part::kAdjective, 9) ==
        Words{"glad", "joyful", "light-hearted", "fortunate"});
  CHECK(wordnet.synonyms("happy", Part::kNoun, 9).empty());
  CHECK(wordnet.synonyms("unknown", Part::kNoun, 9).empty());
  CHECK(wordnet.synonyms("he", Part::kNoun, 9).empty());  // spelled He there
  CHECK(wordnet.synonyms("helium", Part::kNoun, 1) == Words{"He", "atomic_number_2"});
  CHECK(wordnet.parts("dog") == std::vector<Part>{Part::kNoun, Part::kVerb});
  CHECK(wordnet.parts("unknown").empty());
  CHECK(wordnet.words() == 25);
}

TEST_CASE("WordNet: inflected forms by the exception lists and the rules") {
  const WordNetFolder folder(kSynsets);
  folder.write("verb.exc", "found find\nran run\nleft left\n");
  const WordNet wordnet(folder.path());
  for (const char* word : {"found", "ran", "meeting", "meets", "dogs", "gladest", "roads"}) {
    INFO(word);
    CHECK(wordnet.is_inflected(word));
  }
  for (const char* word : {"happy", "dog", "left", "s", "", "bring", "quickly"}) {
    INFO(word);
    CHECK_FALSE(wordnet.is_inflected(word));
  }
}

TEST_CASE("only sure words have replacements: one part of speech, base form, no grammar") {
  const WordNetFolder folder(kSynsets);
  const WordNet wordnet(folder.path());
  const auto of = [&](const char* word) { return detail::replacements(wordnet, word, 1); };
  CHECK(of("happy") == Words{"glad", "joyful"});  // no hyphens, no phrases
  CHECK(of("road") == Words{"route"});
  CHECK(of("helium").empty());   // He, and a phrase
  CHECK(of("dog").empty());      // noun and verb
  CHECK(of("meeting").empty());  // may be of the verb meet
  CHECK(of("might").empty());    // grammar
  CHECK(of("roads").empty());
  CHECK(of("unknown").empty());
}

TEST_CASE("WordNet: what is missing or malformed is named with file and line") {
  const auto failure = [](const std::string& name, const std::string& content) -> std::string {
    const WordNetFolder folder(kSynsets);
    folder.write(name, content);
    try {
      WordNet wordnet(folder.path());
    } catch (const IoError& error) {
      return error.what();
    }
    return "";
  };
  CHECK_THROWS_WITH(WordNet("no_such_folder"), Contains("wordnet-base"));
  CHECK_THAT(failure("data.noun", "\n  x\nx 00 n 01 a 0 000 | g\n"),
             Contains("data.noun") && Contains("line 3: the synset's offset must be a number"));
  CHECK_THAT(failure("data.noun", "1 00 v 01 a 0 000 | g\n"),
             Contains("line 1: the synset's type must be one of \"n\", got \"v\""));
  CHECK_THAT(failure("data.noun", "1 00 n 00 a 0 000 | g\n"), Contains("1 to 255 words"));
  CHECK_THAT(failure("data.noun", "1 00 n ffffffff a 0 000 | g\n"), Contains("1 to 255 words"));
  CHECK_THAT(failure("data.noun", "1 00 n 03 a 0\n"), Contains("the word is missing"));
  CHECK_THAT(failure("data.noun", "1 00 n 01 a 0 0\n1 00 n 01 b 0 0\n"), Contains("twice"));
  CHECK_THAT(failure("data.noun", "99999999999 00 n 01 a 0 0\n"), Contains("must be a number"));
  CHECK_THAT(failure("data.noun", "1" + std::string((1 << 20) + 5, ' ')), Contains("1 MiB"));
  CHECK_THAT(failure("index.adv", "slow r 1 0 1 0 00000099\n"),
             Contains("index.adv") && Contains("no synset 99 in data.adv"));
  CHECK_THAT(failure("index.adv", "slow n 1 0 1 0 00000011\n"), Contains("part of speech"));
  CHECK_THAT(failure("index.adv", "slow r 2 0 1 0 00000011\n"),
             Contains("expected 2 synsets, at least 1, got 1"));
  CHECK_THAT(failure("index.adv", "slow r 0 0 0 0\n"), Contains("at least 1, got 0"));
  CHECK_THAT(failure("index.adv", "slow r 1 4000000000 @\n"), Contains("the pointer is missing"));
  CHECK_THAT(failure("index.adv", "slow r 1 0 1 0 11\nslow r 1 0 1 0 11\n"),
             Contains("the word slow is there twice"));
  CHECK_THAT(failure("noun.exc", "mice\n"), Contains("the base form is missing"));
  const WordNetFolder folder(kSynsets);
  std::filesystem::remove(folder.path() + "/data.verb");
  CHECK_THROWS_WITH(WordNet(folder.path()), Contains("data.verb"));
}

TEST_CASE("WordNet: bytes changed at random give an error or a WordNet, nothing else") {
  const WordNetFolder folder(kSynsets);
  std::ifstream file(folder.path() + "/data.noun");
  const std::string content{std::istreambuf_iterator<char>(file), {}};
  Random random(3);
  int refused = 0;
  for (int round = 0; round < 300; ++round) {
    std::string changed = content;
    for (int i = 0; i < 3; ++i)
      changed[random.below(changed.size())] = static_cast<char>(random.next());
    folder.write("data.noun", changed);
    try {
      WordNet(folder.path()).synonyms("road", Part::kNoun, 3);
    } catch (const IoError&) {
      ++refused;
    }
  }
  CHECK(refused > 30);
  CHECK(refused < 300);
}

}  // namespace
}  // namespace hone::data
