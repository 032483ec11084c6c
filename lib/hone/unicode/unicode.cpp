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
  if (is_space(c)) bits |= kSpace;
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

char32_t lower_of(char32_t c) {
  for (const auto& [first, last, lower] : kLaterLower) {
    if (c >= first && c <= last) return lower + (c - first);
  }
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

}  // namespace hone::unicode
