#include <catch2/catch.hpp>

#include "hone/core/error.h"
#include "hone/core/random.h"
#include "hone/text/detail/regex.h"
#include "hone/text/detail/scanners.h"
#include "hone/unicode/unicode.h"

namespace hone::text::detail {
namespace {

/// Texts that meet the patterns' edges: few characters, many classes.
std::string random_text(Random& random) {
  static const std::u32string kOften =
      U" \n\r\t'sStTdDmMlLrReEvV.!_-a1é日カ٣½´\u0301\u00A0\u3000ſ\u200D🙂k\u0085\u2028";
  std::string text;
  const uint64_t length = random.below(24);
  for (uint64_t i = 0; i < length; ++i) {
    char32_t c = kOften[random.below(kOften.size())];
    if (random.below(8) == 0) c = static_cast<char32_t>(random.below(unicode::kCodePoints));
    if (c >= 0xD800 && c < 0xE000) c = ' ';
    append_utf8(text, c);
  }
  return text;
}

std::string cuts(const Regex& regex, const std::string& text, MatchScratch& scratch) {
  std::string out;
  regex.split(text, scratch, [&](size_t begin, size_t end, bool is_match) {
    out += std::to_string(begin) + (is_match ? "-" : "~") + std::to_string(end) + " ";
  });
  return out;
}

TEST_CASE("every scanner matches what PCRE2 matches with its pattern") {
  MatchScratch scratch;
  Random random(5);
  CHECK(scanned_patterns().size() >= 10);
  for (const std::string& pattern : scanned_patterns()) {
    CAPTURE(pattern);
    const Regex fast = Regex::compile(pattern, "s", "w");
    const Regex slow = Regex::compile(pattern, "s", "w", false);
    REQUIRE(fast.has_scanner());
    REQUIRE_FALSE(slow.has_scanner());
    size_t wrong = 0;
    std::string example;
    for (int i = 0; i < 20'000; ++i) {
      const std::string text = random_text(random);
      if (cuts(fast, text, scratch) == cuts(slow, text, scratch)) continue;
      ++wrong;
      example = text;
    }
    CAPTURE(example);
    CHECK(wrong == 0);
  }
}

TEST_CASE("Oniguruma's dialect") {
  MatchScratch scratch;
  const auto first = [&](const std::string& pattern, const std::string& text) {
    Match match;
    const Regex regex = Regex::compile(pattern, "s", "w", false);
    if (!regex.search(text, 0, scratch, match)) return std::string("none");
    return std::to_string(match.begin) + "-" + std::to_string(match.end);
  };
  CHECK(first("^b", "a\nb") == "2-3");  // ^ and $ are those of lines
  CHECK(first("a$", "a\nb") == "0-1");
  CHECK(first("\\Ab", "a\nb") == "none");
  CHECK(first("a.b", "a\nb") == "none");
  CHECK(first("\\d", "x٣") == "1-3");        // classes are Unicode's
  CHECK(first("\\h+", "xyz09aF") == "3-7");  // hexadecimal digits
  CHECK(first("[^\\h]", "ag") == "1-2");
  CHECK(first("a{,2}", "aaa") == "0-2");  // no lower bound is 0
  CHECK(first("a{x}", "a{x}") == "0-4");  // a brace that counts nothing is plain
  CHECK(first("(?i:ss)", "xSs") == "1-3");
  CHECK(first("\\p{Han}+", "a漢字") == "1-7");
  CHECK(first("\\p{^L}", "a1") == "1-2");
  CHECK(first("\\P{L}", "a1") == "1-2");
  CHECK(first("[\\s\\p{N}]+", "a 1\u00A0") == "1-5");
  CHECK(first("\\x{65E5}|\\u672C", "本") == "0-3");
  CHECK(first("(?<!a)b", "abb") == "2-3");
  CHECK(first("\\p{L}", "\U00010D4A") == "0-4");  // a letter since Unicode 16
}

TEST_CASE("constructs that are not translated are refused by name") {
  for (const char* pattern :
       {"(?<n>a)", "\\1", "\\b", "\\G", "[[:alpha:]]", "[a&&b]", "(?x)a", "\\p{", "a{2}+", "[]a]",
        "\\xFF", "\\u12", "[a", "\\", "\\x{110000}", "\\x{D800}"}) {
    CAPTURE(pattern);
    CHECK_THROWS_AS(Regex::compile(pattern, "s", "w"), Error);
  }
  CHECK_THROWS_AS(Regex::compile(std::string(70'000, 'a'), "s", "w"), Error);
  std::string classes;
  for (int i = 0; i < 30'000; ++i) classes += "\\w";
  CHECK_THROWS_WITH(Regex::compile(classes, "s", "w"),
                    Catch::Contains("too many character classes"));
  CHECK_THROWS_WITH(Regex::compile("[" + classes + "]", "s", "w"),
                    Catch::Contains("too many character classes"));
  CHECK_THROWS_AS(Regex::compile(std::string(5'000, '(') + std::string(5'000, ')'), "s", "w"),
                  Error);
}

TEST_CASE("empty matches do not loop, and none stands right behind a match") {
  MatchScratch scratch;
  CHECK(cuts(Regex::compile("x*", "s", "w", false), "axb", scratch) == "0-0 0~1 1-2 2~3 3-3 ");
  CHECK(cuts(Regex::literal(""), "ab", scratch) == "0-0 0~1 1-1 1~2 2-2 ");
  CHECK(cuts(Regex::literal("b"), "abc", scratch) == "0~1 1-2 2~3 ");
  CHECK(cuts(Regex::literal("b"), "", scratch) == "0~0 ");
}

}  // namespace
}  // namespace hone::text::detail
