/// What Python's str methods do, for metrics that must equal those written in Python.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace hone::unicode {

/// str.isspace() of a character.
bool is_python_space(char32_t c);

/// str.lower() of valid UTF-8: with U+0130 as two characters and the sigma of a word's end. Knows
/// Unicode 16; letters newer than an interpreter's own tables stay as they are there.
std::string python_lower(std::string_view text);

/// str.rstrip() and str.strip().
std::string_view python_rstrip(std::string_view text);
std::string_view python_strip(std::string_view text);

/// str.split(): the stretches without white space.
std::vector<std::string_view> python_split(std::string_view text);

/// " ".join(str.split()).
std::string squeeze_spaces(std::string_view text);

/// Puts `to` in the place of every `from`, from left to right.
std::string replace_all(std::string text, std::string_view from, std::string_view to);

}  // namespace hone::unicode
