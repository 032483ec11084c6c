// Expected values are Python 3.11's own.
#include "hone/unicode/python_text.h"

#include <catch2/catch.hpp>

namespace hone::unicode {
namespace {

using Words = std::vector<std::string_view>;

TEST_CASE("Lower case as Python has it") {
  CHECK(python_lower("ΌΣΟΣ ΣΑΣ. Σ AΣ'b Σ\u0301") == "όσος σας. σ aσ'b σ\u0301");
  CHECK(python_lower("İK") == "i\u0307k");
  CHECK(python_lower("ẞÀ") == "ßà");
  CHECK(python_lower("") == "");
}

TEST_CASE("White space is Python's: separators of ASCII too, zero width none") {
  for (const char32_t c : {U' ', U'\t', U'\n', U'\v', U'\f', U'\r', U'\x1c', U'\x1f', U'\x85',
                           U'\xa0', U'\u1680', U'\u2000', U'\u2028', U'\u3000'}) {
    CHECK(is_python_space(c));
  }
  for (const char32_t c : {U'\0', U'\x1b', U'a', U'\u180e', U'\u200b', U'\u2060', U'\ufeff'}) {
    CHECK_FALSE(is_python_space(c));
  }
}

TEST_CASE("Strips") {
  CHECK(python_strip("\u3000\x1c x \u2028") == "x");
  CHECK(python_strip(" \n") == "");
  CHECK(python_strip("") == "");
  CHECK(python_rstrip(" x\u00a0\n") == " x");
  CHECK(python_rstrip("\u3000") == "");
  CHECK(python_rstrip("好\u200b") == "好\u200b");
}

TEST_CASE("Splits at stretches of white space, without empty words") {
  CHECK(python_split(" a \u3000b\n\nc ") == Words{"a", "b", "c"});
  CHECK(python_split(" \t") == Words{});
  CHECK(python_split("好") == Words{"好"});
  CHECK(squeeze_spaces("  a\u00a0\n b ") == "a b");
  CHECK(squeeze_spaces("\n") == "");
}

TEST_CASE("Replaces from left to right, and not in what it put") {
  CHECK(replace_all("aaa", "aa", "b") == "ba");
  CHECK(replace_all("aXa", "X", "XX") == "aXXa");
  CHECK(replace_all("abc", "d", "e") == "abc");
  CHECK(replace_all("a-b-", "-", "") == "ab");
}

}  // namespace
}  // namespace hone::unicode
