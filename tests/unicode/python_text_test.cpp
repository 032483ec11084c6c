// Expected values are Python 3.11's own.
#include "hone/unicode/python_text.h"

#include <catch2/catch.hpp>

namespace hone::unicode {
namespace {

using Words = std::vector<std::string_view>;

TEST_CASE("Lower case as Python has it") {
  CHECK(py::lower("ΌΣΟΣ ΣΑΣ. Σ AΣ'b Σ\u0301") == "όσος σας. σ aσ'b σ\u0301");
  CHECK(py::lower("İK") == "i\u0307k");
  CHECK(py::lower("ẞÀ") == "ßà");
  CHECK(py::lower("") == "");
}

TEST_CASE("White space is Python's: separators of ASCII too, zero width none") {
  for (const char32_t c : {U' ', U'\t', U'\n', U'\v', U'\f', U'\r', U'\x1c', U'\x1f', U'\x85',
                           U'\xa0', U'\u1680', U'\u2000', U'\u2028', U'\u3000'}) {
    CHECK(py::is_space(c));
  }
  for (const char32_t c : {U'\0', U'\x1b', U'a', U'\u180e', U'\u200b', U'\u2060', U'\ufeff'}) {
    CHECK_FALSE(py::is_space(c));
  }
}

TEST_CASE("Strips") {
  CHECK(py::strip("\u3000\x1c x \u2028", py::kBoth) == "x");
  CHECK(py::strip(" \n", py::kBoth) == "");
  CHECK(py::strip("", py::kBoth) == "");
  CHECK(py::strip(" x\u00a0\n", py::kRight) == " x");
  CHECK(py::strip("\u3000", py::kRight) == "");
  CHECK(py::strip("好\u200b", py::kRight) == "好\u200b");
}

TEST_CASE("Splits at stretches of white space, without empty words") {
  CHECK(py::words(" a \u3000b\n\nc ") == Words{"a", "b", "c"});
  CHECK(py::words(" \t") == Words{});
  CHECK(py::words("好") == Words{"好"});
  CHECK(py::squeeze_spaces("  a\u00a0\n b ") == "a b");
  CHECK(py::squeeze_spaces("\n") == "");
}

TEST_CASE("Replaces from left to right, and not in what it put") {
  CHECK(py::replace("aaa", "aa", "b") == "ba");
  CHECK(py::replace("aXa", "X", "XX") == "aXXa");
  CHECK(py::replace("abc", "d", "e") == "abc");
  CHECK(py::replace("a-b-", "-", "") == "ab");
}

}  // namespace
}  // namespace hone::unicode
