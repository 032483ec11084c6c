#include "hone/data/entities.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "hone/core/error.h"
#include "hone/core/utf8.h"

namespace hone::data {
namespace {

using Found = std::vector<std::string>;

Found found(const std::vector<std::string>& terms, const std::string& text, bool fold = false) {
  Found parts;
  for (const Span& span : EntityMatcher(terms, fold).find(text)) {
    parts.push_back(text.substr(span.begin, span.end - span.begin));
  }
  return parts;
}

TEST_CASE("terms are found at word boundaries only") {
  const std::vector<Span> spans =
      EntityMatcher({"aspirin"}, false).find("(aspirin) aspirins aspirin");
  CHECK(spans == std::vector<Span>{{1, 8}, {19, 26}});
  CHECK(found({"art"}, "heart art_1 art1 state-of-the-art").size() == 1);
  CHECK(found({"C++"}, "C++, C++11, C+").size() == 2);
  CHECK(found({"naïve"}, "naïveté naïve").size() == 1);
  CHECK(found({"na"}, "naïve").empty());
  CHECK(found({"e"}, "e\u0301").empty());
  CHECK(found({"law"}, "“law” law—law… «law» (law)\u00a0law").size() == 6);
}

TEST_CASE("the longest term at a place wins and matches do not overlap") {
  const std::vector<std::string> terms{"heart", "heart attack", "attack dog",
                                       "heart attack risk x"};
  CHECK(found(terms, "heart attack dog") == Found{"heart attack"});
  CHECK(found(terms, "heart attack risk y") == Found{"heart attack"});
  CHECK(found(terms, "heart, attack dog") == Found{"heart", "attack dog"});
  CHECK(found({"a b", "a b", " a  b "}, "a b a b") == Found{"a b", "a b"});
  CHECK(EntityMatcher({"a b", "a b", " a\tb "}, false).terms() == 1);
}

TEST_CASE("runs of white space match any run of white space, and only that") {
  CHECK(found({"heart  attack"}, "heart\n\t attack heartattack heart-attack heart\u3000attack") ==
        Found{"heart\n\t attack", "heart\u3000attack"});
}

TEST_CASE("case is folded where asked") {
  CHECK(found({"DNA"}, "dna DNA").size() == 1);
  CHECK(found({"DNA"}, "dna DNA Dna", true).size() == 3);
  CHECK(found({"ÉCOLE"}, "école", true).size() == 1);
  CHECK(found({"ŁÓDŹ"}, "łódź", true).size() == 1);
  CHECK(found({"Ÿ"}, "ÿ", true).size() == 1);
  CHECK(found({"ΛΌΓΟΣ"}, "λόγος", true).size() == 1);
  CHECK(found({"ПРАВО ЁЖ Ґ"}, "право ёж ґ", true).size() == 1);
  CHECK(found({"ПРАВО"}, "право").empty());
  // Not letters of a pair: they must not be taken for their neighbours.
  CHECK(found({"×"}, "÷", true).empty());
  CHECK(found({"ı"}, "İ", true).empty());
  CHECK(found({"ĸ"}, "Ĺ", true).empty());
}

TEST_CASE("scripts without spaces match between any two characters") {
  CHECK(found({"心臓"}, "私の心臓病と心臓") == Found{"心臓", "心臓"});
  CHECK(found({"aspirin"}, "用aspirin治疗") == Found{"aspirin"});
  CHECK(found({"维生素C"}, "维生素C和维生素CD") == Found{"维生素C"});
  CHECK(found({"학교"}, "학교에서") == Found{"학교"});
}

TEST_CASE("thousands of terms cost no more than a few") {
  std::vector<std::string> terms;
  for (int i = 0; i < 20'000; ++i) terms.push_back("term" + std::to_string(i) + " of law");
  const EntityMatcher matcher(terms, true);
  CHECK(matcher.terms() == 20'000);
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += "TERM" + std::to_string(i) + " of law and ";
  CHECK(matcher.find(text).size() == 20'000);
}

TEST_CASE("hostile terms and texts do no harm") {
  CHECK_THROWS_WITH(EntityMatcher({"a", " \t "}, false), "EntityMatcher: a term is empty");
  CHECK_THROWS_AS(EntityMatcher({""}, false), Error);
  CHECK_NOTHROW(EntityMatcher({std::string(1024, 'a')}, false));
  CHECK_THROWS_WITH(EntityMatcher({std::string(1025, 'a')}, false),
                    Catch::Contains("1025 bytes; the limit is 1024"));
  CHECK(found({"a"}, "").empty());
  CHECK(EntityMatcher({}, true).find("a b").empty());
  CHECK(found({"a"},
              "a\xff"
              "a \xc3 a") == Found{"a", "a", "a"});
  CHECK(found({std::string("\0x", 2)}, std::string("a\0x", 3)).size() == 1);
}

TEST_CASE("terms are read a line each") {
  const std::string path = "data_terms.txt";
  std::ofstream(path) << "# head\n heart attack \r\n\naspirin\n#x\nC#";
  CHECK(read_terms(path) == Found{"heart attack", "aspirin", "C#"});
  std::ofstream(path) << "# only\n\n";
  CHECK_THROWS_WITH(read_terms(path), "data_terms.txt: holds no term");
  CHECK_THROWS_AS(read_terms("absent.txt"), IoError);
  std::remove(path.c_str());
}

TEST_CASE("characters are decoded strictly and written back") {
  for (uint32_t code = 0; code <= 0x10ffff; ++code) {
    if (code >= 0xd800 && code < 0xe000) continue;
    std::string text;
    append_utf8(text, code);
    const Character character = character_at(text, 0);
    if (character.code != code || character.length != text.size()) FAIL(code);
  }
  for (const char* bad : {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xe2\x82",
                          "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"}) {
    CHECK(character_at(bad, 0).code == Character::kInvalid);
    CHECK(find_invalid_utf8("aé" + std::string(bad)) == 3);
  }
  CHECK(find_invalid_utf8("aé漢😀") == std::string::npos);
}

}  // namespace
}  // namespace hone::data
