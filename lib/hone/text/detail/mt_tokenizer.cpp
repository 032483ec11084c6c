#include "hone/text/detail/mt_tokenizer.h"

#include <array>
#include <utility>

#include "hone/core/error.h"
#include "hone/text/detail/python_text.h"
#include "hone/text/detail/unicode.h"

namespace hone::text::detail {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_point(char c) { return c == '.' || c == ','; }

/// ASCII that is always a token by itself; spaces among it, apostrophe, dash, digits, letters,
/// period and comma not.
constexpr std::array<bool, 256> make_separators() {
  std::array<bool, 256> table{};
  for (const auto& [first, last] :
       {std::pair{' ', '&'}, {'(', '+'}, {'/', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}) {
    for (int c = first; c <= last; ++c) table[static_cast<size_t>(c)] = true;
  }
  return table;
}
constexpr std::array<bool, 256> kSeparators = make_separators();

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

std::string tokenize_13a(std::string_view text) {
  std::string line = replace_all(std::string(text), "<skipped>", "");
  line = replace_all(std::move(line), "-\n", "");
  line = replace_all(std::move(line), "\n", " ");
  line = replace_all(std::move(line), "&quot;", "\"");
  line = replace_all(std::move(line), "&amp;", "&");
  line = replace_all(std::move(line), "&lt;", "<");
  line = replace_all(std::move(line), "&gt;", ">");
  return separate_western(" " + line + " ");
}

std::string tokenize_intl(std::string_view text) {
  const uint8_t* classes = char_classes();
  const auto is = [classes](char32_t c, uint8_t kind) { return (classes[c] & kind) != 0; };
  std::u32string line = to_utf32(text);
  line = rewrite_pairs(
      line, [&](char32_t a, char32_t b) { return !is(a, kNumber) && is(b, kPunct); }, kSecondApart);
  line = rewrite_pairs(
      line, [&](char32_t a, char32_t b) { return is(a, kPunct) && !is(b, kNumber); }, kFirstApart);
  std::string out;
  for (const char32_t c : line) {
    if (is(c, kSymbol)) out += ' ';
    append_utf8(out, c);
    if (is(c, kSymbol)) out += ' ';
  }
  return out;
}

/// What sacrebleu takes for Chinese. Two of its ranges are written "\u20000".."\u2a6d6" and
/// "\u2f800".."\u2fa1d", which Python reads as U+2000 and a digit, and so on: they hold 2001..2A6D
/// and 2F81..2FA1, general punctuation and symbols, instead of the rare ideographs meant.
bool is_chinese(char32_t c) {
  static constexpr std::pair<char32_t, char32_t> kRanges[] = {
      {0x2001, 0x2A6D}, {0x2E80, 0x2FDF}, {0x2FF0, 0x303F}, {0x3100, 0x312F}, {0x31A0, 0x31BF},
      {0x31C0, 0x31EF}, {0x3200, 0x4DB5}, {0x4E00, 0x9FBB}, {0xF900, 0xFA2D}, {0xFA30, 0xFA6A},
      {0xFA70, 0xFAD9}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F}, {0xFF00, 0xFFEF}};
  for (const auto& [first, last] : kRanges) {
    if (c >= first && c <= last) return true;
  }
  return false;
}

/// The text with spaces around the characters that `apart` picks.
template <class Apart>
std::string set_apart(std::string_view text, const Apart& apart) {
  std::string out;
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    const char* const begin = p;
    const bool alone = apart(next_char(p));
    if (alone) out += ' ';
    out.append(begin, p);
    if (alone) out += ' ';
  }
  return out;
}

}  // namespace

std::string separate_western(std::string_view text) {
  std::string line;
  line.reserve(text.size() + text.size() / 2);
  for (const char c : text) {
    const bool apart = kSeparators[static_cast<unsigned char>(c)];
    if (apart) line += ' ';
    line += c;
    if (apart) line += ' ';
  }
  line = rewrite_pairs(
      line, [](char a, char b) { return !is_digit(a) && is_point(b); }, kSecondApart);
  line = rewrite_pairs(
      line, [](char a, char b) { return is_point(a) && !is_digit(b); }, kFirstApart);
  return rewrite_pairs(
      line, [](char a, char b) { return is_digit(a) && b == '-'; }, kSecondApart);
}

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
      return separate_western(set_apart(python_strip(text), is_chinese));
    case BleuTokenizer::kNone:
      return std::string(text);
    default:
      throw Error(unavailable_reason(tokenizer));
  }
}

}  // namespace hone::text::detail
