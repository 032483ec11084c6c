/// Python's string operations on valid UTF-8; positions and counts are code points, as in Python.
/// Letters newer than an interpreter's own tables have their case here, and not there.
#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hone::unicode::py {

constexpr int64_t kAll = std::numeric_limits<int64_t>::max();

/// What str.strip() and str.split() without argument, and \s of `re`, take as white space.
bool is_space(char32_t c);
bool is_line_break(char32_t c);

/// Byte of the code point at `index` in [0, length]; the text's size beyond its end.
size_t byte_of(std::string_view text, int64_t index);
int64_t count_chars(std::string_view text);

enum Side { kLeft = 1, kRight = 2, kBoth = 3 };
/// As string_view::find, in linear time for any text and part.
size_t find(std::string_view text, std::string_view part, size_t from = 0);
/// Strips the characters of `chars`, or white space.
std::string_view strip(std::string_view text, int sides,
                       std::optional<std::string_view> chars = std::nullopt);
/// At most `limit` cuts, from the left or the right; without `separator` at runs of white space.
std::vector<std::string> split(std::string_view text, std::optional<std::string_view> separator,
                               int64_t limit = kAll, bool from_right = false);
/// split(text) as parts of the text.
std::vector<std::string_view> words(std::string_view text);
/// " ".join(text.split()).
std::string squeeze_spaces(std::string_view text);
std::vector<std::string> split_lines(std::string_view text, bool keep_ends = false);
/// An empty `from` matches between all characters.
std::string replace(std::string_view text, std::string_view from, std::string_view to,
                    int64_t limit = kAll);
/// Occurrences without overlap.
int64_t count(std::string_view text, std::string_view part);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
/// First character in title case, the others in lower case.
std::string capitalize(std::string_view text);
/// str.title(): every run of letters capitalised.
std::string title(std::string_view text);
std::string swap_case(std::string_view text);

bool is_upper(std::string_view text);
bool is_lower(std::string_view text);
bool is_alpha(std::string_view text);
bool is_alnum(std::string_view text);
bool is_digit(std::string_view text);
bool is_decimal(std::string_view text);
bool is_space_only(std::string_view text);
bool is_title(std::string_view text);

/// Pads to `width` characters. kBoth centres as str.center() does.
std::string pad(std::string_view text, int64_t width, Side text_side, std::string_view fill = " ");

}  // namespace hone::unicode::py
