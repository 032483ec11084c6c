#include "hone/unicode/unicode.h"

#include <catch2/catch.hpp>

#include "hone/core/utf8.h"

namespace hone::unicode {
namespace {

/// Bits of a code point, CR's and LF's among them.
int bits(char32_t c) { return char_classes()[c]; }

TEST_CASE("What code points are") {
  CHECK(bits(U'a') == (kLetter | kWord));
  CHECK(bits(U'7') == (kNumber | kWord));
  CHECK(bits(U'½') == kNumber);  // no decimal digit is no word
  CHECK(bits(U'_') == (kPunct | kWord));
  CHECK(bits(U'!') == kPunct);
  CHECK(bits(U'+') == kSymbol);
  CHECK(bits(U'\u0301') == (kMark | kWord));
  CHECK(bits(U' ') == kSpace);
  CHECK(bits(U'\n') == (kSpace | kNewline));
  CHECK(bits(U'\r') == (kSpace | kNewline));
  CHECK(bits(U'\u2028') == kSpace);
  CHECK(bits(U'\u200b') == 0);
  CHECK(bits(U'好') == (kLetter | kWord));
  CHECK(bits(kCodePoints - 1) == 0);
}

TEST_CASE("Categories by name, those of Unicode 15 and 16 among them") {
  CHECK(in_category(U'A', "Lu"));
  CHECK(in_category(U'A', "L"));
  CHECK_FALSE(in_category(U'A', "Ll"));
  CHECK(in_category(U'\U00010D50', "Lu"));  // Garay, since 16
  CHECK(in_category(U'\U00011F04', "Lo"));  // Kawi, since 15
  CHECK(is_category("L"));
  CHECK(is_category("Nd"));
  CHECK_FALSE(is_category("Lx"));
  CHECK_FALSE(is_category(""));
  CHECK_FALSE(added_ranges("L").empty());
  for (const auto& [first, last] : added_ranges("L")) {
    CHECK(first <= last);
    CHECK(in_category(first, "L"));
    CHECK(in_category(last, "L"));
  }
}

TEST_CASE("Space is ASCII's white space and Unicode's separators") {
  for (const char32_t c : {U' ', U'\t', U'\n', U'\v', U'\f', U'\r', U'\x85', U'\xa0', U'\u2028',
                           U'\u2029', U'\u3000'}) {
    CHECK(is_space(c));
  }
  for (const char32_t c : {U'\b', U'\x0e', U'\x1f', U'a', U'\u200b', U'\ufeff'}) {
    CHECK_FALSE(is_space(c));
  }
}

TEST_CASE("Lower case of one character") {
  CHECK(lower_of(U'A') == U'a');
  CHECK(lower_of(U'Σ') == U'σ');
  CHECK(lower_of(U'İ') == U'i');
  CHECK(lower_of(U'1') == U'1');
}

TEST_CASE("UTF-8 of every length, there and back") {
  const std::string text = "a\u00e9\u4e2d\U0001F600";
  const std::u32string points = U"a\u00e9\u4e2d\U0001F600";
  CHECK(to_utf32(text) == points);
  std::string built;
  for (const char32_t c : points) {
    append_utf8(built, c);
    CHECK(sequence_length(to_utf8(c)[0]) == to_utf8(c).size());
  }
  CHECK(built == text);
  const char* p = text.data();
  for (const char32_t c : points) CHECK(next_char(p) == c);
  CHECK(p == text.data() + text.size());
  CHECK(previous_start(p) == p - 4);
  CHECK(previous_start(p - 4) == p - 7);
  for (const char32_t edge :
       {U'\x7f', U'\x80', U'\u07ff', U'\u0800', U'\uffff', U'\U00010000', U'\U0010FFFF'}) {
    CHECK(to_utf32(to_utf8(edge)) == std::u32string(1, edge));
  }
}

TEST_CASE("What is no UTF-8 is found, and one character stands for each broken part") {
  CHECK(is_utf8("a\u00e9\u4e2d\U0001F600"));
  CHECK(is_utf8(""));
  for (const std::string_view broken :
       {"\x80", "\xc0\x80", "\xc3", "\xed\xa0\x80", "\xe4\xb8", "\xf4\x90\x80\x80", "\xff"}) {
    CHECK_FALSE(is_utf8(broken));
  }
  CHECK(checked_sequence("\u4e2dx") == 3);
  CHECK(checked_sequence("a") == 1);
  CHECK(checked_sequence("\xe4\xb8x") == -2);  // its maximal part
  CHECK(checked_sequence("\xed\xa0\x80") == -1);
  CHECK(checked_sequence("\x80\x80") == -1);
  CHECK(replace_invalid("a\xe4\xb8z") == "a\ufffdz");
  CHECK(replace_invalid("\xed\xa0\x80") == "\ufffd\ufffd\ufffd");
  CHECK(replace_invalid("ok\u00e9") == "ok\u00e9");
}

}  // namespace
}  // namespace hone::unicode
