#include "hone/unicode/unicode.h"

#include <utf8proc.h>

#include <cstring>
#include <memory>

namespace hone::unicode {
namespace {

struct Addition {
  char32_t first, last;
  utf8proc_category_t category;
};

constexpr Addition kAdditions[] = {
#include "hone/unicode/unicode_additions.inc"
};

constexpr const char* kCategoryNames[] = {
    "Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps",
    "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co"};

std::string_view category_name(utf8proc_category_t category) { return kCategoryNames[category]; }

/// Alphabetic code points that are neither letters nor numbers of letter kind.
bool is_other_alphabetic(char32_t c) {
  return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
         (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

bool is_space(char32_t c, utf8proc_category_t category) {
  return (c >= 9 && c <= 13) || c == 0x85 || category == UTF8PROC_CATEGORY_ZS ||
         category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

uint8_t classify(char32_t c, utf8proc_category_t category) {
  uint8_t bits = 0;
  switch (category_name(category)[0]) {
    case 'L':
      bits = kLetter | kWord;
      break;
    case 'M':
      bits = kMark | kWord;
      break;
    case 'N':
      bits = category == UTF8PROC_CATEGORY_NO ? kNumber : kNumber | kWord;
      break;
    case 'P':
      bits = category == UTF8PROC_CATEGORY_PC ? kPunct | kWord : kPunct;
      break;
    case 'S':
      bits = kSymbol;
      break;
    default:
      break;
  }
  if (is_other_alphabetic(c)) bits |= kWord;
  if (is_space(c, category)) bits |= kSpace;
  if (c == '\r' || c == '\n') bits |= kNewline;
  return bits;
}

/// General categories of all code points, utf8proc's with the additions on top.
std::unique_ptr<uint8_t[]> make_categories() {
  auto table = std::make_unique<uint8_t[]>(kCodePoints);
  for (size_t c = 0; c < kCodePoints; ++c) {
    table[c] = static_cast<uint8_t>(utf8proc_category(static_cast<utf8proc_int32_t>(c)));
  }
  for (const Addition& addition : kAdditions) {
    std::memset(&table[addition.first], addition.category, addition.last - addition.first + 1);
  }
  return table;
}

const uint8_t* categories() {
  static const std::unique_ptr<uint8_t[]> table = make_categories();
  return table.get();
}

std::unique_ptr<uint8_t[]> make_classes() {
  auto table = std::make_unique<uint8_t[]>(kCodePoints);
  for (size_t c = 0; c < kCodePoints; ++c) {
    table[c] =
        classify(static_cast<char32_t>(c), static_cast<utf8proc_category_t>(categories()[c]));
  }
  return table;
}

bool matches(std::string_view name, std::string_view category) {
  return name.substr(0, category.size()) == category;
}

/// Letters that got a lower case after utf8proc's Unicode 15; `tokenizers` knows Unicode 17's.
struct LowerCase {
  char32_t first, last, lower;  ///< lower is that of `first`
};
constexpr LowerCase kLaterLower[] = {
    {0x1C89, 0x1C89, 0x1C8A},    {0xA7CB, 0xA7CB, 0x264},  {0xA7CC, 0xA7CC, 0xA7CD},
    {0xA7CE, 0xA7CE, 0xA7CF},    {0xA7D2, 0xA7D2, 0xA7D3}, {0xA7D4, 0xA7D4, 0xA7D5},
    {0xA7DA, 0xA7DA, 0xA7DB},    {0xA7DC, 0xA7DC, 0x19B},  {0x10D50, 0x10D65, 0x10D70},
    {0x16EA0, 0x16EB8, 0x16EBB},
};

}  // namespace

const uint8_t* char_classes() {
  static const std::unique_ptr<uint8_t[]> table = make_classes();
  return table.get();
}

bool is_category(std::string_view category) {
  if (category.empty() || category.size() > 2) return false;
  for (const char* name : kCategoryNames) {
    if (matches(name, category)) return true;
  }
  return false;
}

bool in_category(char32_t c, std::string_view category) {
  return matches(kCategoryNames[categories()[c]], category);
}

std::vector<std::pair<char32_t, char32_t>> added_ranges(std::string_view category) {
  std::vector<std::pair<char32_t, char32_t>> ranges;
  for (const Addition& addition : kAdditions) {
    if (matches(category_name(addition.category), category)) {
      ranges.emplace_back(addition.first, addition.last);
    }
  }
  return ranges;
}

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&out](char32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

std::string to_utf8(char32_t c) {
  std::string text;
  append_utf8(text, c);
  return text;
}

std::u32string to_utf32(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (const char *p = text.data(), *end = p + text.size(); p < end;) out += next_char(p);
  return out;
}

int checked_sequence(std::string_view text) {
  const auto byte = [&text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned a = byte(0);
  if (a < 0x80) return 1;
  const int length = a >= 0xC2 && a < 0xE0   ? 2
                     : (a & 0xF0) == 0xE0    ? 3
                     : a >= 0xF0 && a < 0xF5 ? 4
                                             : 0;
  if (length == 0) return -1;
  // The second byte's range depends on the first: no overlong forms, surrogates, or > 10FFFF.
  const unsigned low = a == 0xE0 ? 0xA0 : a == 0xF0 ? 0x90 : 0x80;
  const unsigned high = a == 0xED ? 0x9F : a == 0xF4 ? 0x8F : 0xBF;
  for (int i = 1; i < length; ++i) {
    if (static_cast<size_t>(i) == text.size()) return -i;
    const unsigned b = byte(static_cast<size_t>(i));
    if (b < (i == 1 ? low : 0x80u) || b > (i == 1 ? high : 0xBFu)) return -i;
  }
  return length;
}

bool is_valid_utf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    uint64_t eight;
    if (i + sizeof eight <= text.size()) {
      std::memcpy(&eight, text.data() + i, sizeof eight);
      if ((eight & 0x8080808080808080u) == 0) {
        i += sizeof eight;
        continue;
      }
    }
    const int length = checked_sequence(text.substr(i));
    if (length < 0) return false;
    i += static_cast<size_t>(length);
  }
  return true;
}

std::string replace_invalid(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const int length = checked_sequence(text);
    if (length > 0) {
      out.append(text.substr(0, static_cast<size_t>(length)));
    } else {
      append_utf8(out, kReplacement);
    }
    text.remove_prefix(static_cast<size_t>(length > 0 ? length : -length));
  }
  return out;
}

char32_t lower_of(char32_t c) {
  for (const auto& [first, last, lower] : kLaterLower) {
    if (c >= first && c <= last) return lower + (c - first);
  }
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

}  // namespace hone::unicode
