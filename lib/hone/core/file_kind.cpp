#include "hone/core/file_kind.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "hone/core/utf8.h"

namespace hone {
namespace {

using namespace std::string_view_literals;

/// Beginnings that say what a file is; the longer of two that begin alike comes first.
constexpr std::pair<std::string_view, const char*> kMagic[] = {
    {"\x1f\x8b"sv, "gzip"},
    {"\x28\xb5\x2f\xfd"sv, "Zstandard"},
    {"\xfd"
     "7zXZ\0"sv,
     "xz"},
    {"BZh"sv, "bzip2"},
    {"\x04\x22\x4d\x18"sv, "LZ4"},
    {"PK\x03\x04"sv, "zip"},
    {"7z\xbc\xaf\x27\x1c"sv, "7-Zip"},
    {"PAR1"sv, "Parquet"},
    {"PARE"sv, "encrypted Parquet"},
    {"ARROW1\0"sv, "Arrow"},
    {"\xff\xff\xff\xff"sv, "Arrow stream"},
    {"SQLite format 3\0"sv, "SQLite"},
    {"%PDF-"sv, "PDF"},
    {"\x89PNG"sv, "PNG image"},
    {"\xff\xd8\xff"sv, "JPEG image"},
    {"\x7f"
     "ELF"sv,
     "ELF"},
    {"\x80\x02"sv, "pickle"},
    {"\x80\x03"sv, "pickle"},
    {"\x80\x04\x95"sv, "pickle"},
    {"\x80\x05\x95"sv, "pickle"},
    {"\xff\xfe\0\0"sv, "UTF-32 text"},
    {"\0\0\xfe\xff"sv, "UTF-32 text"},
    {"\xff\xfe"sv, "UTF-16 text"},
    {"\xfe\xff"sv, "UTF-16 text"},
};

/// Latin text in UTF-16 without a byte-order mark: every other byte is 0 and no other is.
bool is_bare_utf16(std::string_view head) {
  if (head.size() < 4) return false;
  for (const size_t parity : {size_t{0}, size_t{1}}) {
    bool fits = true;
    for (size_t i = 0; fits && i < std::min<size_t>(head.size(), 64); ++i) {
      fits = (head[i] == '\0') == (i % 2 == parity);
    }
    if (fits) return true;
  }
  return false;
}

}  // namespace

std::string binary_kind(std::string_view head) {
  head = head.substr(0, kKindBytes);
  for (const auto& [magic, name] : kMagic) {
    if (head.starts_with(magic)) return name;
  }
  if (is_bare_utf16(head)) return "UTF-16 text";
  if (head.size() > 262 && head.substr(257, 5) == "ustar") return "tar";
  // A NUL alone may be a damaged row of a text; the last character may be cut.
  if (head.find('\0') == std::string_view::npos) return "";
  const size_t invalid = find_invalid_utf8(head);
  const bool text =
      invalid == std::string_view::npos || (head.size() == kKindBytes && invalid + 4 > head.size());
  return text ? "" : "binary";
}

std::string binary_kind_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string head(kKindBytes, '\0');
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  return binary_kind(std::string_view(head).substr(0, static_cast<size_t>(file.gcount())));
}

}  // namespace hone
