#include "hone/text/detail/normalizer.h"

#include <catch2/catch.hpp>

#include "hone/core/error.h"
#include "hone/text/detail/normalize.h"
#include "hone/unicode/unicode.h"

namespace hone::text::detail {
namespace {

/// The text normalised, and where each of its bytes came from: "e[0-3] ".
std::string traced(const char* json, std::string_view text) {
  const Normalizer normalizer = Normalizer::parse(parse_json(json, "s"), "s");
  MatchScratch scratch;
  Buffer buffer;
  buffer.reset(text);
  normalizer.apply(buffer, scratch);
  std::string out;
  for (size_t i = 0; i < buffer.text().size();) {
    const size_t length = sequence_length(buffer.text()[i]);
    const ByteRange span =
        buffer.original(static_cast<uint32_t>(i), static_cast<uint32_t>(i + length));
    out += std::string(buffer.text().substr(i, length)) + "[" + std::to_string(span.begin) + "-" +
           std::to_string(span.end) + "]";
    i += length;
  }
  return out;
}

TEST_CASE("normal forms, aligned") {
  CHECK(traced(R"({"type": "NFC"})", "e\u0301x") == "é[0-1]x[3-4]");
  CHECK(traced(R"({"type": "NFD"})", "éx") == "e[0-2]\u0301[0-2]x[2-3]");
  CHECK(traced(R"({"type": "NFKC"})", "ﬁx") == "f[0-3]i[0-3]x[3-4]");
  CHECK(traced(R"({"type": "NFKD"})", "½") == "1[0-2]⁄[0-2]2[0-2]");
  CHECK(traced(R"({"type": "NFC"})", "가") == "가[0-3]");
  CHECK(traced(R"({"type": "NFC"})", "\u1100\u1161") == "가[0-3]");
  // Marks are sorted by class: dot below (220) before acute (230).
  CHECK(traced(R"({"type": "NFD"})", "a\u0301\u0323") == "a[0-1]\u0323[1-3]\u0301[3-5]");
}

TEST_CASE("what Unicode learnt after version 9 is left alone by normal forms") {
  // U+08D3 has class 220 since Unicode 11; before, it kept the marks around it where they are.
  CHECK(is_later(0x08D3));
  CHECK(traced(R"({"type": "NFD"})", "a\u0483\u08D3") == "a[0-1]\u0483[1-3]\u08D3[3-6]");
  CHECK_FALSE(is_later(0x0301));
  CHECK_FALSE(is_later('a'));
}

TEST_CASE("is_surely_nfc is never wrong") {
  for (char32_t c = 0; c < unicode::kCodePoints; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    const std::string text = "e" + to_utf8(c);
    if (!is_surely_nfc(text)) continue;
    const auto form = normal_form(text, false, true);
    if (form.size() == 2 && form[0].c == 'e' && form[1].c == c) continue;
    FAIL("U+" << std::hex << static_cast<unsigned>(c));
  }
  CHECK(is_surely_nfc("plain é 日本"));
  CHECK_FALSE(is_surely_nfc("e\u0301"));
}

TEST_CASE("the other steps") {
  CHECK(traced(R"({"type": "Lowercase"})", "AÉİ") == "a[0-1]é[1-3]i[3-5]\u0307[3-5]");
  CHECK(traced(R"({"type": "Prepend", "prepend": "__"})", "ab") == "_[0-1]_[0-1]a[0-1]b[1-2]");
  CHECK(traced(R"({"type": "Prepend", "prepend": "_"})", "").empty());
  CHECK(traced(R"({"type": "Replace", "pattern": {"String": "b"}, "content": "xy"})", "abc") ==
        "a[0-1]x[1-2]y[1-2]c[2-3]");
  CHECK(traced(R"({"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "})", "a  b") ==
        "a[0-1] [2-3]b[3-4]");
  CHECK(traced(R"({"type": "Strip", "strip_left": true, "strip_right": false})", " \u3000a ") ==
        "a[4-5] [5-6]");
  CHECK(traced(R"({"type": "Strip", "strip_left": true, "strip_right": true})", "  ").empty());
  CHECK(
      traced(R"({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}]})",
             "éa") == "e[0-2]a[2-3]");
}

TEST_CASE("UTF-8 that is broken is found and replaced part by part") {
  const auto replaced = [](std::string_view text) { return replace_invalid(text); };
  CHECK(is_utf8("plain é 日本 🙂"));
  for (const char* text : {"\x80", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                           "\xF8", "eight chars and \xE4\xB8", "\xF0\x9F\x99"}) {
    CAPTURE(text);
    CHECK_FALSE(is_utf8(text));
    CHECK(is_utf8(replaced(text)));
  }
  // As bytes.decode(errors="replace") of Python has it.
  CHECK(replaced("\xE4\xB8x") == "\uFFFDx");
  CHECK(replaced("\xF0\x9F\x99") == "\uFFFD");
  CHECK(replaced("\xC0\xAF") == "\uFFFD\uFFFD");
  CHECK(replaced("\xED\xA0\x80") == "\uFFFD\uFFFD\uFFFD");
}

}  // namespace
}  // namespace hone::text::detail
