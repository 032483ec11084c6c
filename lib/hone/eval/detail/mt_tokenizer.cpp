#include "hone/eval/detail/mt_tokenizer.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "hone/core/error.h"
#include "hone/unicode/python_text.h"
#include "hone/unicode/unicode.h"

namespace hone::eval::detail {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_point(char c) { return c == '.' || c == ','; }

/// ASCII that is always a token by itself; spaces among it, apostrophe, dash, digits, letters,
/// period and comma not.
constexpr std::array<bool, 128> make_separators() {
  std::array<bool, 128> table{};
  for (const auto& [first, last] :
       {std::pair{' ', '&'}, {'(', '+'}, {'/', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}) {
    for (int c = first; c <= last; ++c) table[static_cast<size_t>(c)] = true;
  }
  return table;
}
constexpr std::array<bool, 128> kSeparators = make_separators();

/// Calls put(out, a, b) for each pair of neighbours that fits, from left to right and without
/// overlap, in the place of the pair.
template <class Text, class Fits, class Put>
Text rewrite_pairs(const Text& text, const Fits& fits, const Put& put) {
  Text out;
  out.reserve(text.size() + text.size() / 4);
  size_t i = 0;
  while (i < text.size()) {
    if (i + 1 < text.size() && fits(text[i], text[i + 1])) {
      put(out, text[i], text[i + 1]);
      i += 2;
    } else {
      out += text[i++];
    }
  }
  return out;
}

/// A pair's second character becomes a token of its own: "ab" -> "a b ".
constexpr auto kSecondApart = [](auto& out, auto a, auto b) { (((out += a) += ' ') += b) += ' '; };
/// Its first character: "ab" -> " a b".
constexpr auto kFirstApart = [](auto& out, auto a, auto b) { (((out += ' ') += a) += ' ') += b; };

std::string read_entities(std::string text) {
  text = unicode::py::replace(text, "&quot;", "\"");
  text = unicode::py::replace(text, "&amp;", "&");
  text = unicode::py::replace(text, "&lt;", "<");
  return unicode::py::replace(text, "&gt;", ">");
}

/// The text with spaces around the characters that `apart` picks.
template <class Apart>
std::string set_apart(std::string_view text, const Apart& apart) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    const char* const begin = p;
    const bool alone = apart(next_char(p));
    if (alone) out += ' ';
    out.append(begin, p);
    if (alone) out += ' ';
  }
  return out;
}

std::string separate_marks(std::string_view text) {
  return set_apart(text, [](char32_t c) { return c < kSeparators.size() && kSeparators[c]; });
}

/// Sets periods and commas apart except within numbers, and dashes behind digits.
std::string separate_numbers(std::string line) {
  line =
      rewrite_pairs(line, [](char a, char b) { return !is_digit(a) && is_point(b); }, kSecondApart);
  line =
      rewrite_pairs(line, [](char a, char b) { return is_point(a) && !is_digit(b); }, kFirstApart);
  return rewrite_pairs(line, [](char a, char b) { return is_digit(a) && b == '-'; }, kSecondApart);
}

std::string tokenize_13a(std::string_view text) {
  std::string line = unicode::py::replace(text, "<skipped>", "");
  line = unicode::py::replace(line, "-\n", "");
  line = unicode::py::replace(line, "\n", " ");
  return separate_numbers(separate_marks(" " + read_entities(std::move(line)) + " "));
}

std::string tokenize_intl(std::string_view text) {
  const uint8_t* classes = unicode::char_classes();
  const auto is = [classes](char32_t c, uint8_t kind) { return (classes[c] & kind) != 0; };
  std::u32string line = to_utf32(text);
  line = rewrite_pairs(
      line,
      [&](char32_t a, char32_t b) { return !is(a, unicode::kNumber) && is(b, unicode::kPunct); },
      kSecondApart);
  line = rewrite_pairs(
      line,
      [&](char32_t a, char32_t b) { return is(a, unicode::kPunct) && !is(b, unicode::kNumber); },
      kFirstApart);
  std::string out;
  for (const char32_t c : line) {
    if (is(c, unicode::kSymbol)) out += ' ';
    append_utf8(out, c);
    if (is(c, unicode::kSymbol)) out += ' ';
  }
  return out;
}

using Range32 = std::pair<char32_t, char32_t>;

template <size_t N>
bool in_ranges(char32_t c, const Range32 (&ranges)[N]) {
  return std::any_of(std::begin(ranges), std::end(ranges),
                     [c](const Range32& range) { return c >= range.first && c <= range.second; });
}

/// What sacrebleu takes for Chinese. Two of its ranges are written "\u20000".."\u2a6d6" and
/// "\u2f800".."\u2fa1d", which Python reads as U+2000 and a digit, and so on: they hold 2001..2A6D
/// and 2F81..2FA1, general punctuation and symbols, instead of the rare ideographs meant.
bool is_chinese(char32_t c) {
  static constexpr Range32 kRanges[] = {
      {0x2001, 0x2A6D}, {0x2E80, 0x2FDF}, {0x2FF0, 0x303F}, {0x3100, 0x312F}, {0x31A0, 0x31BF},
      {0x31C0, 0x31EF}, {0x3200, 0x4DB5}, {0x4E00, 0x9FBB}, {0xF900, 0xFA2D}, {0xFA30, 0xFA6A},
      {0xFA70, 0xFAD9}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F}, {0xFF00, 0xFFEF}};
  return in_ranges(c, kRanges);
}

/// What sacrebleu's TER sets apart with asian_support. The range written for enclosed letters ends
/// at 3F22 instead of 32FF. Kana it leaves together: its patterns for them match nothing.
bool is_ter_asian(char32_t c) {
  static constexpr Range32 kRanges[] = {{0x2E80, 0x2EFF}, {0x31C0, 0x31EF}, {0x3200, 0x4DBF},
                                        {0x4E00, 0x9FFF}, {0xF900, 0xFAFF}, {0xFE30, 0xFE4F}};
  return in_ranges(c, kRanges);
}

bool is_ter_asian_mark(char32_t c) {
  static constexpr Range32 kRanges[] = {{0x3001, 0x3002}, {0x3008, 0x3011}, {0x3014, 0x301F},
                                        {0x30FB, 0x30FB}, {0xFF01, 0xFF02}, {0xFF08, 0xFF09},
                                        {0xFF0C, 0xFF0C}, {0xFF0E, 0xFF0E}, {0xFF1A, 0xFF1B},
                                        {0xFF1F, 0xFF1F}, {0xFF61, 0xFF65}};
  return in_ranges(c, kRanges);
}

}  // namespace

std::string unavailable_reason(BleuTokenizer tokenizer) {
  std::string needs;
  switch (tokenizer) {
    case BleuTokenizer::kJaMecab:
      needs = "MeCab and its IPA dictionary";
      break;
    case BleuTokenizer::kKoMecab:
      needs = "MeCab-ko and its dictionary";
      break;
    case BleuTokenizer::kSpm:
    case BleuTokenizer::kFlores101:
    case BleuTokenizer::kFlores200:
    case BleuTokenizer::kSpBleu1k:
      needs = "a SentencePiece model that sacrebleu downloads";
      break;
    default:
      return "";
  }
  return "tokenizer " + enum_name(tokenizer) + " needs " + needs +
         ", which hone does not read; use char, or score the generated texts with sacrebleu itself";
}

std::string mt_tokenize(std::string_view text, BleuTokenizer tokenizer) {
  switch (tokenizer) {
    case BleuTokenizer::k13a:
      return tokenize_13a(text);
    case BleuTokenizer::kIntl:
      return tokenize_intl(text);
    case BleuTokenizer::kChar:
      return set_apart(text, [](char32_t) { return true; });
    case BleuTokenizer::kZh:
      return separate_numbers(
          separate_marks(set_apart(unicode::py::strip(text, unicode::py::kBoth), is_chinese)));
    case BleuTokenizer::kNone:
      return std::string(text);
    default:
      throw Error(unavailable_reason(tokenizer));
  }
}

std::string ter_tokenize(std::string text, const TerOptions& options) {
  if (options.normalized) {
    text = unicode::py::replace(text, "\n-", "");
    text = unicode::py::replace(text, "\n", " ");
    text = separate_marks(" " + read_entities(std::move(text)) + " ");
    text = separate_numbers(unicode::py::replace(text, "'s ", " 's "));
    if (options.asian_support) {
      text = set_apart(text, [](char32_t c) { return is_ter_asian(c) || is_ter_asian_mark(c); });
    }
  }
  if (!options.no_punct) return text;
  std::string kept;
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    const char* const begin = p;
    const char32_t c = next_char(p);
    const bool mark = std::u32string_view(U".,?:;!\"()").find(c) != std::u32string_view::npos;
    if (!mark && !(options.asian_support && is_ter_asian_mark(c))) kept.append(begin, p);
  }
  return kept;
}

}  // namespace hone::eval::detail
